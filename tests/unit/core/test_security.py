"""The published list of services is what their files, their profiles and `core.places` say."""

import importlib

import pytest
import yaml

from core.api.places import IN_ALL
from core.cli import DAEMONS
from core.places import API_PORT, DOOR, RUN, USERS, socket_of
from core.sandbox.profile import Profile
from tests.helpers.checkout import TOP
from tests.helpers.core.published import PAGE, read_published

PUBLISHED = read_published()
MDNS = ("udp", 5353)
PREPARE = "core-identity-prepare"  # root, before the daemons


def read_service(name: str) -> dict[str, object]:
    path = TOP / "core" / "etc" / "zinit" / f"{name}.yaml"
    service: dict[str, object] = yaml.load(path.read_text(), yaml.CBaseLoader)
    return service


def profile_of(name: str) -> Profile | None:
    module = importlib.import_module(DAEMONS[name.removeprefix("core-")])
    found: Profile | None = getattr(module, "PROFILE", None)
    return found


def test_every_service_is_published() -> None:
    assert sorted(PUBLISHED) == sorted(f"core-{name}" for name in DAEMONS)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_row_is_the_service(name: str) -> None:
    row, service = PUBLISHED[name], read_service(name)
    numbers = {user.name: user.number for user in USERS}
    user = service.get("user")
    assert row.user == (0 if user is None else numbers[str(user)])
    assert row.capabilities == set(service["capabilities"])  # type: ignore[call-overload]
    assert service["no_new_privileges"] == "true" and "cgroup" in service


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_row_is_the_profile(name: str) -> None:
    row, profile = PUBLISHED[name], profile_of(name)
    if profile is None:
        assert name == PREPARE
        assert (row.user, row.is_filtered, row.families) == (0, False, frozenset({"all"}))
        return
    assert row.is_filtered
    assert row.user == profile.user.number
    assert row.capabilities == profile.capabilities
    assert row.families == {family.name.removeprefix("AF_") for family in profile.families}
    assert row.has_programs == profile.has_programs


def test_the_ports_are_those_of_the_api_and_of_mdns() -> None:
    ports = {name: row.ports for name, row in PUBLISHED.items() if row.ports}
    assert ports == {"core-announce": {MDNS}, "core-api": {("tcp", API_PORT)}}


def test_a_daemon_listens_and_writes_below_its_own_folder() -> None:
    for name, row in PUBLISHED.items():
        daemon = name.removeprefix("core-")
        assert row.sockets <= {str(socket_of(daemon))}, name
        if name != PREPARE:
            written = {path for path in row.writable if not path.startswith("/dev/")}
            assert written == {str(RUN / daemon)}, name
    assert f"`{DOOR}`" in PAGE.read_text()


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_all_callers_have_a_thread(name: str) -> None:
    """A daemon whose callers take all of its processes could do nothing else."""
    profile, limits = profile_of(name), read_service(name)["cgroup"]
    assert isinstance(limits, dict)
    own = 8 + (IN_ALL if name == "core-api" else 0)
    assert profile is None or profile.connections_max + own <= int(limits["pids"])
