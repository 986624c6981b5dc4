"""Accounts, groups and passwords."""

from functools import partial
from typing import Literal

import pytest
from argon2 import PasswordHasher
from sqlalchemy import insert, select, update

from flist.hub.accounts.passwords import Passwords
from flist.hub.errors import AbsentError, ConflictError, InvalidError, NotSignedInError
from flist.hub.state.tables import ACCOUNTS, MEMBERS, REPOSITORIES
from flist.hub.state.viewer import ADMIN, PUBLISH, READ
from tests.helpers.flist.desk import CHEAP, PASSWORD, Desk

KEY = "ab" * 32


class Dearer(Passwords):
    """Other costs."""

    time_cost, memory_kib = 2, 8


def test_passwords_are_hashed_and_checked() -> None:
    desk = Desk()
    with desk.database.reading() as connection:
        kept = connection.execute(select(ACCOUNTS.c.password)).scalars().all()
    assert all(text.startswith("$argon2id$") and PASSWORD not in text for text in kept)
    found = desk.accounts.check_password("alice", PASSWORD)
    assert found == desk.accounts.find("alice")
    for name, password in [
        ("alice", "another one"), ("nobody", PASSWORD), ("alice", ""), ("alice", "\ud800" * 9),
        ("alice", "x" * 5000), ("", PASSWORD),
    ]:  # fmt: skip
        assert desk.accounts.check_password(name, password) is None, (name, password[:9])


def test_every_name_takes_the_same_work() -> None:
    """Otherwise the time of an answer would tell which accounts there are."""
    desk = Desk()
    desk.accounts.create("keyless", public_key=KEY)
    desk.accounts.create("team", kind="group")
    desk.accounts.disable("bob")
    costs: list[str] = []

    class Counted(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002
            costs.append(str(hash).rpartition("$")[0].rpartition("$")[0])
            return super().verify(hash, password)

    desk.accounts.passwords.hasher = Counted(1, 8, 1)
    for name in ("alice", "nobody", "keyless", "team", "bob", "x" * 100, ""):
        desk.accounts.check_password(name, "a wrong password")
    assert len(costs) == 7
    assert set(costs) == {"$argon2id$v=19$m=8,t=1,p=1"}


@pytest.mark.parametrize("password", ["short", "x" * 1025, "\udc80 not UTF-8"])
def test_a_password_that_cannot_be_one_is_refused(password: str) -> None:
    with pytest.raises(InvalidError):
        Desk().accounts.set_password("alice", password)


def test_hashes_of_other_costs_are_renewed_at_the_next_sign_in() -> None:
    desk = Desk()
    with desk.database.writing() as connection:
        connection.execute(update(ACCOUNTS).values(password=Dearer().hash(PASSWORD)))
    assert desk.accounts.check_password("alice", PASSWORD)
    with desk.database.reading() as connection:
        asked = select(ACCOUNTS.c.password).where(ACCOUNTS.c.name == "alice")
        known = connection.execute(asked).scalar_one()
    assert not CHEAP.is_outdated(known)
    assert CHEAP.is_right(known, PASSWORD)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-a", "a" * 101, "a b", "ä", "a\n", "(console)", "a@b"]
)
def test_names_that_could_not_be_repositories_are_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="cannot name"):
        Desk().accounts.create(name)


def test_names_are_unique_whatever_their_case() -> None:
    desk = Desk()
    for name in ("alice", "Alice", "ALICE"):
        with pytest.raises(ConflictError):
            desk.accounts.create(name, password=PASSWORD)
    with pytest.raises(ConflictError):
        desk.accounts.create("Bob", kind="group")


def test_groups_have_members_and_cannot_sign_in() -> None:
    desk = Desk()
    group = desk.accounts.create("team", kind="group")
    desk.accounts.add_member("team", "alice")
    desk.accounts.add_member("team", "alice")
    viewer = desk.viewer(desk.alice)
    assert viewer.groups == {"team"}
    assert viewer.group_ids == {group.id}
    assert desk.accounts.members("team") == ["alice"]
    with pytest.raises(InvalidError):
        desk.accounts.add_member("team", "team")
    with pytest.raises(AbsentError):
        desk.accounts.add_member("bob", "alice")
    for wrong in ({"password": PASSWORD}, {"is_admin": True}, {"public_key": KEY}):
        with pytest.raises(InvalidError):
            desk.accounts.create("other", kind="group", **wrong)
    for change in (lambda: desk.accounts.set_password("team", PASSWORD),
                   lambda: desk.accounts.change("team", {"is_admin": True}),
                   lambda: desk.tokens.create(group, "x", [READ])):  # fmt: skip
        with pytest.raises(InvalidError):
            change()
    desk.accounts.disable("team")
    assert desk.viewer(desk.alice).groups == frozenset()
    desk.accounts.enable("team")
    desk.accounts.remove_member("team", "alice")
    assert desk.viewer(desk.alice).groups == frozenset()
    with pytest.raises(AbsentError):
        desk.accounts.remove_member("team", "alice")


def test_a_new_password_ends_sessions_but_no_other_tokens() -> None:
    desk = Desk()
    session = desk.tokens.create(desk.alice, "web", [READ], is_session=True)
    token = desk.tokens.create(desk.alice, "ci", [READ])
    others = desk.tokens.create(desk.bob, "web", [READ], is_session=True)
    desk.accounts.set_password("alice", "another one")
    with pytest.raises(NotSignedInError):
        desk.tokens.find_viewer(session)
    assert desk.tokens.find_viewer(token).name == "alice"
    assert desk.tokens.find_viewer(others).name == "bob"


def test_a_disabled_account_is_out_at_once_and_comes_back_with_its_tokens() -> None:
    desk = Desk()
    token = desk.tokens.create(desk.alice, "ci", [READ])
    desk.accounts.disable("alice")
    with pytest.raises(NotSignedInError):
        desk.tokens.find_viewer(token)
    assert desk.accounts.check_password("alice", PASSWORD) is None
    desk.accounts.enable("alice")
    assert desk.tokens.find_viewer(token).name == "alice"


def test_the_last_administrator_stays() -> None:
    desk = Desk()
    changes = [
        partial(desk.accounts.disable, "root"),
        partial(desk.accounts.delete, "root"),
        partial(desk.accounts.change, "root", {"is_admin": False}),
    ]
    for change in changes:
        with pytest.raises(ConflictError, match="only administrator"):
            change()
        assert desk.accounts.find("root") == desk.root
    desk.accounts.change("bob", {"is_admin": True})
    desk.accounts.delete("root")
    with pytest.raises(AbsentError):
        desk.accounts.find("root")


def test_an_account_with_repositories_is_not_removed() -> None:
    desk = Desk()
    row = {"name": "tf", "owner_id": desk.alice.id, "is_private": False, "is_official": False,
           "signers": "", "threshold": 0, "created_s": 0.0, "updated_s": 0.0}  # fmt: skip
    with desk.database.writing() as connection:
        connection.execute(insert(REPOSITORIES).values(row))
    with pytest.raises(ConflictError, match="owns repositories: tf"):
        desk.accounts.delete("alice")


def test_a_removed_account_takes_tokens_and_memberships_with_it() -> None:
    desk = Desk()
    desk.accounts.create("team", kind="group")
    desk.accounts.add_member("team", "alice")
    token = desk.tokens.create(desk.alice, "ci", [READ])
    desk.accounts.delete("alice")
    with pytest.raises(NotSignedInError):
        desk.tokens.find_viewer(token)
    with desk.database.reading() as connection:
        assert connection.execute(select(MEMBERS)).first() is None


def test_an_administrator_is_one_only_with_the_scope_and_for_all_repositories() -> None:
    desk = Desk()
    assert desk.viewer(desk.root).is_admin
    assert not desk.viewer(desk.root, READ, PUBLISH).is_admin
    assert not desk.viewer(desk.root, ADMIN, repository="tf").is_admin
    assert not desk.viewer(desk.alice).is_admin


def test_subjects_and_keys_are_checked() -> None:
    desk = Desk()
    desk.accounts.change("alice", {"subject": "https://id.example 1"})
    with pytest.raises(ConflictError):
        desk.accounts.change("bob", {"is_admin": True, "subject": "https://id.example 1"})
    assert not desk.accounts.find("bob").is_admin, "nothing is half done"
    for key in ("", "AB" * 32, "ab" * 31, "xy" * 32):
        with pytest.raises(InvalidError):
            desk.accounts.set_key("alice", key)
    with pytest.raises(InvalidError):
        desk.accounts.change("alice", {"quota_bytes": -1})
    with pytest.raises(InvalidError):
        desk.accounts.change("bob", {"subject": "a\nb"})
