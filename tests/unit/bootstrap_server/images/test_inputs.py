"""The locked boot packages, and what takes the place of an iPXE that is gone."""

import io
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from bootstrap_server import cli
from bootstrap_server.images import inputs
from bootstrap_server.images.template import identify
from common.debian import resolve
from common.debian.lock import DebianLock
from common.debian.pool import GoneError, PoolError
from common.debian.unpack import Joiner
from tests.helpers.debian import lock_package, make_lock, simple_deb

TOOLS = simple_deb({name: name.encode() for name in inputs._CONTENT if "ipxe" not in name})


def ipxe_deb(version: str) -> bytes:
    """Return a package with the files of iPXE, each of which holds the version."""
    names = (inputs.IPXE_BIOS, *inputs.UEFI_PROGRAMS, inputs.IPXE_LICENCE)
    return simple_deb({name: version.encode() for name in names})


NEWER, OLDER = ipxe_deb("2.0"), ipxe_deb("1.21")
LOCKS = {
    inputs.TOOLS: make_lock(lock_package("mtools", TOOLS)),
    inputs.IPXE: make_lock(lock_package("ipxe", NEWER, "2.0")),
    inputs.OLDER_IPXE: make_lock(lock_package("ipxe", OLDER, "1.21")),
}
DEBS = {lock_package("x", deb).sha256: deb for deb in (TOOLS, NEWER, OLDER)}


@pytest.fixture
def offer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[PoolError] | None], None]:
    """Return a function that says how the newer iPXE fails; all else is there."""

    def fetch(lock: DebianLock) -> Path:
        (package,) = lock.packages
        path = tmp_path / f"{package.sha256}.tar"
        with open(path, "wb") as target:
            joiner = Joiner(target)
            joiner.add(package, io.BytesIO(DEBS[package.sha256]))
            joiner.close()
        return path

    def say(failure: type[PoolError] | None) -> None:
        def fetch_locked(lock: DebianLock) -> Path:
            if failure:
                raise failure("cannot fetch ipxe 2.0")
            return fetch(lock)

        monkeypatch.setattr(inputs, "fetch_locked", fetch_locked)

    monkeypatch.setattr(inputs, "read_locks", lambda: LOCKS)
    monkeypatch.setattr(inputs, "fetch_or_resolve", lambda lock, **_: (lock, fetch(lock)))
    return say


def test_the_newer_ipxe_is_used_while_it_is_to_be_had(
    offer: Callable[[type[PoolError] | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    offer(None)
    found = inputs.find_inputs()
    assert found.digests["ipxe"] == "2.0"
    assert set(found.digests) == {"ipxe", *inputs._CONTENT}
    assert caplog.records == []


def test_a_gone_ipxe_is_replaced_by_the_older_which_the_log_and_the_identity_say(
    offer: Callable[[type[PoolError] | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    offer(None)
    before = identify("usb", inputs.find_inputs().digests)
    offer(GoneError)
    found = inputs.find_inputs()
    assert found.digests["ipxe"] == "1.21"
    assert identify("usb", found.digests) != before
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, "cannot fetch ipxe 2.0. iPXE 1.21 is used")
    ]


def test_a_mirror_that_lies_about_ipxe_is_an_error(
    offer: Callable[[type[PoolError] | None], None],
) -> None:
    offer(PoolError)
    with pytest.raises(PoolError):
        inputs.find_inputs()


def test_the_committed_lock_has_both_versions_of_ipxe() -> None:
    locks = inputs.read_locks()
    assert [inputs.ipxe_version(locks[n])[:2] for n in ("ipxe", "older-ipxe")] == ["2.", "1."]
    for name, (suite, packages) in inputs.REQUESTS.items():
        assert (locks[name].suite, locks[name].request) == (suite, tuple(sorted(packages)))


def test_the_lock_is_written_by_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def find(packages: object, *, suite: str, allow_expired: bool, progress: object) -> DebianLock:
        asked.append((suite, packages, allow_expired))
        return LOCKS[inputs.TOOLS]

    monkeypatch.setattr(inputs, "LOCK", tmp_path / "boot.lock")
    monkeypatch.setattr(resolve, "resolve", find)
    assert cli.main(["lock", "--allow-expired"], "zos bootstrap") == 0
    assert asked == [(suite, packages, True) for suite, packages in inputs.REQUESTS.values()]
    assert set(inputs.read_locks()) == set(inputs.REQUESTS)
