"""The identity daemon's methods, and who may call which."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ipc.client import call
from common.ipc.errors import IpcError
from common.ipc.server import Peer, Server
from common.nodes.envelope import open_envelope
from core.errors import CoreError
from core.identity import daemon
from core.identity.choose import choose
from core.identity.daemon import Keeper
from core.identity.measured import Measured
from core.identity.model import Identity
from core.identity.tools import TASK_S
from core.places import API, CAPACITY, IDENTITY, REPORT, SCREEN, USERS
from tests.unit.core.identity.fakes import FakeVault

KEEPER = Keeper(Identity(bytes(range(32)), "ephemeral", "no place"), Measured())
REPORTER = Peer(1, REPORT.number, REPORT.number)


def test_it_describes_itself_without_its_key() -> None:
    said = KEEPER.describe(REPORTER)
    assert said == {
        "node": KEEPER._identity.node,
        "public": said["public"],
        "address": said["address"],
        "kind": "ephemeral",
        "why": "no place",
    }
    assert bytes(range(32)).hex() not in str(said)


def test_a_report_is_signed_for_the_daemon_that_reports() -> None:
    sealed = KEEPER.sign(REPORTER, "report", {"sequence": 1})
    envelope = open_envelope(sealed.encode(), "report")
    assert envelope.payload == {"sequence": 1}
    assert envelope.key == KEEPER._identity.public


@pytest.mark.parametrize("uid", [0, *(user.number for user in USERS if user != REPORT)])
def test_nobody_else_has_anything_signed(uid: int) -> None:
    with pytest.raises(IpcError, match="may not have 'report' signed"):
        KEEPER.sign(Peer(1, uid, uid), "report", {})


@pytest.mark.parametrize("kind", ["farm", "", "report\0", "x" * 500])
def test_nothing_else_is_signed(kind: str) -> None:
    with pytest.raises(IpcError, match="may not have"):
        KEEPER.sign(REPORTER, kind, {})


def test_each_method_is_open_to_its_callers_only() -> None:
    methods = KEEPER.methods()
    everybody = {user.number for user in USERS} - {IDENTITY.number}
    callers = {
        name: everybody if method.callers is None else set(method.callers)
        for name, method in methods.items()
    }
    assert callers == {
        "describe": everybody,
        "authority": everybody,
        "sign": {REPORT.number},
        "quote": {REPORT.number},
        "certificate": {API.number},
    }
    for user in (CAPACITY, SCREEN):
        assert not methods["certificate"].is_open_to(user.number)


def test_without_a_tpm_there_is_no_quote() -> None:
    assert KEEPER.quote(REPORTER, "nonce") is None
    for nonce in ("x" * 257, 7):
        with pytest.raises(IpcError, match="a nonce is"):
            KEEPER.quote(REPORTER, nonce)  # type: ignore[arg-type]


def test_a_slow_tpm_has_longer_to_open_the_seed_than_to_quote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node whose TPM is given up has another id."""
    given: list[float] = []

    @contextlib.contextmanager
    def opened(*limits: float) -> Iterator[None]:
        given.extend(limits)
        yield None

    monkeypatch.setattr(daemon, "opened_tools", opened)
    monkeypatch.setattr(daemon, "DISK", tmp_path / "disk")
    monkeypatch.setattr(daemon, "HOME", tmp_path)
    daemon.begin()
    assert given == [daemon.START_S, daemon.START_S] and given[0] > 2 * TASK_S


def test_a_disk_that_is_not_mounted_is_not_taken_for_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "DISK", tmp_path / "disk")
    assert daemon.places_of(None, Measured()).folder is None
    (tmp_path / "disk").mkdir()
    with pytest.raises(CoreError, match="no disk is mounted"):
        daemon.places_of(None, Measured())
    with pytest.raises(CoreError, match="no disk is mounted"):
        daemon.places_of(FakeVault(), Measured())
    with pytest.raises(CoreError, match="no disk is mounted"):
        daemon.places_of(FakeVault(bytes(32), fails="find"), Measured())
    sealed = daemon.places_of(FakeVault(bytes(32)), Measured())
    assert sealed.folder is None and choose(sealed).kind == "tpm"
    monkeypatch.setattr(daemon, "DISK", Path("/proc"))
    assert daemon.places_of(None, Measured()).folder == Path("/proc")


def test_a_client_gets_what_it_asks_for(tmp_path: Path) -> None:
    with Server(tmp_path / "socket", KEEPER.methods()):
        assert call(tmp_path / "socket", "describe")["kind"] == "ephemeral"
        assert "BEGIN CERTIFICATE" in call(tmp_path / "socket", "authority")
        with pytest.raises(IpcError, match="cannot make the certificate"):
            call(tmp_path / "socket", "certificate", public="x", names=["a"])
