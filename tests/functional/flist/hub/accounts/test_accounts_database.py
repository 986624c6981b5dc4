"""Accounts in the databases that a hub may have, with several servers on one of them."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import ZosError
from flist.hub.accounts.signin import Wish
from flist.hub.errors import ConflictError, HubError, NotSignedInError
from flist.hub.state.opening import open_state
from flist.hub.state.viewer import READ
from flist.server.signin import signed_message
from tests.helpers.flist.desk import PASSWORD, Clock, Desk
from tests.helpers.services.postgres import Postgres, run_postgres

TRIES = 12


@pytest.fixture(name="postgres", scope="module")
def run_database() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture(name="desk", params=["sqlite", "postgresql"])
def make_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    """Give accounts in a database of each kind, made by its migrations."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").make_database()
    desk = Desk(open_state(tmp_path, url), Clock(), 1e6, 1000)
    yield desk
    desk.database.close()


def together(calls: list[Callable[[], object]]) -> list[object]:
    """Run calls at the same time; return what they return, or the error that they raise."""

    def attempt(call: Callable[[], object]) -> object:
        try:
            return call()
        except HubError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(attempt, calls))


def succeeded(results: list[object]) -> list[object]:
    """Return the results that are no errors."""
    return [result for result in results if not isinstance(result, HubError)]


def test_a_day_of_an_account(desk: Desk) -> None:
    desk.accounts.create("team", kind="group")
    desk.accounts.add_member("team", "alice")
    desk.accounts.add_member("team", "alice")
    token = desk.tokens.find_viewer(
        desk.sign_ins.by_password("alice", PASSWORD, "2001:db8::1", Wish(scopes=(READ,)))
    )
    assert token.groups == {"team"}
    assert desk.limits.is_known("alice", "2001:db8::/64")
    desk.accounts.set_password("alice", "another one")
    assert desk.accounts.check_password("alice", "another one")
    assert [row.revoked_s is None for row in desk.tokens.list(desk.alice)] == [False]
    desk.accounts.delete("alice")
    assert desk.accounts.members("team") == []


def test_a_name_is_given_once(desk: Desk) -> None:
    names = ["Carol", "carol", "CAROL"] * 4
    results = together([partial(desk.accounts.create, name) for name in names])
    made = succeeded(results)
    assert len(made) == 1
    assert all(isinstance(result, ConflictError) for result in results if result not in made)


def test_a_nonce_is_used_once(desk: Desk) -> None:
    key = Ed25519PrivateKey.generate()
    desk.accounts.set_key("alice", key.public_key().public_bytes_raw().hex())
    nonce = desk.challenges.issue("alice")
    signature = key.sign(signed_message("hub", "alice", nonce)).hex()

    def enter() -> str:
        return desk.sign_ins.by_key("alice", nonce, signature, "hub", "192.0.2.1", Wish())

    results = together([enter] * TRIES)
    assert len(succeeded(results)) == 1
    assert sum(isinstance(result, NotSignedInError) for result in results) == TRIES - 1


def test_administrators_who_remove_one_another_leave_one(desk: Desk) -> None:
    names = ["root", "alice", "bob"]
    for name in names[1:]:
        desk.accounts.change(name, {"is_admin": True})
    results = together([
        lambda: desk.accounts.disable("root"),
        lambda: desk.accounts.change("alice", {"is_admin": False}),
        lambda: desk.accounts.delete("bob"),
    ])  # fmt: skip
    assert len(succeeded(results)) == 2
    left = [account for account in desk.accounts.list() if account.is_admin]
    assert len([account for account in left if not account.is_disabled]) == 1


@pytest.mark.parametrize("name", ["a\0b", "\0"])
def test_a_zero_byte_in_a_name_is_no_fault_of_the_hub(desk: Desk, name: str) -> None:
    """PostgreSQL keeps no such text."""
    calls: list[Callable[[], object]] = [
        lambda: desk.accounts.find(name),
        lambda: desk.accounts.create(name),
        lambda: desk.sign_ins.by_password(name, PASSWORD, "192.0.2.1", Wish()),
        lambda: desk.sign_ins.by_key("alice", name, "00", "hub", "192.0.2.1", Wish()),
        lambda: desk.tokens.owner(name),
        lambda: desk.accounts.change("alice", {"subject": name}),
    ]
    for call in calls:
        with pytest.raises(ZosError) as caught:
            call()
        assert 400 <= getattr(caught.value, "http_status", 503) < 500, caught.value
