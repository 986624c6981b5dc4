"""The users of the daemons, and their services: the flist's /etc says what the code says."""

import pytest
import yaml

from core.cli import DAEMONS
from core.places import USERS
from tests.helpers.checkout import TOP

ETC = TOP / "core" / "etc"
SERVICES = sorted((ETC / "zinit").glob("*.yaml"))
# What runs once as root and ends, and the capabilities that it may have.
PREPARING = {
    "core-identity-prepare": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SYS_ADMIN", "SYS_PTRACE"},
}
SYSTEM = {"root": 0, "tty": 5, "disk": 6, "nobody": 65534, "nogroup": 65534}


def numbers(name: str, column: int) -> dict[str, int]:
    """Return the numbers in a file of /etc, by name."""
    rows = [line.split(":") for line in (ETC / name).read_text().splitlines()]
    return {row[0]: int(row[column]) for row in rows}


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_each_daemon_has_its_user_and_group(name: str) -> None:
    wanted = {user.name: user.number for user in USERS}
    found = numbers(name, 2)
    assert {key: value for key, value in found.items() if key not in SYSTEM} == wanted
    assert all(SYSTEM[key] == found[key] for key in found if key in SYSTEM)


def test_a_user_is_in_the_group_of_its_number() -> None:
    assert numbers("passwd", 3) == numbers("passwd", 2)


def test_nobody_can_log_in() -> None:
    shells = {line.split(":")[6] for line in (ETC / "passwd").read_text().splitlines()}
    assert shells == {"/usr/sbin/nologin"}


def test_each_daemon_has_a_service() -> None:
    assert {path.stem for path in SERVICES} == {f"core-{name}" for name in DAEMONS}


def test_services_run_daemons_with_few_rights() -> None:
    for path in SERVICES:
        service = yaml.load(path.read_text(), yaml.CBaseLoader)
        assert service["exec"] == f"zos core {path.stem.removeprefix('core-')}"
        if path.stem in PREPARING:
            assert service["oneshot"] == "true" and "user" not in service, path
            assert set(service["capabilities"]) <= PREPARING[path.stem], path
        else:
            assert service["ready"] == "notify", path
            assert service["user"] in {user.name for user in USERS}, path
        assert "capabilities" in service and service["no_new_privileges"] == "true", path
        assert "cgroup" in service, path
