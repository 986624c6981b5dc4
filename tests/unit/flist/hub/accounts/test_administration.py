"""Who may change what, and what the audit log says of it."""

from collections.abc import Callable

import pytest

from flist.hub.accounts.administration import CONSOLE
from flist.hub.errors import AbsentError, ForbiddenError, HubError, NotSignedInError
from flist.hub.state.viewer import ADMIN, ANYBODY, PUBLISH, READ, Viewer
from tests.helpers.flist.desk import PASSWORD, Desk

KEY = "ab" * 32
Call = Callable[[Desk, Viewer], object]

FOR_ADMINISTRATORS: dict[str, Call] = {
    "list": lambda desk, who: desk.administration.list(who),
    "create": lambda desk, who: desk.administration.create(who, "carol"),
    "disable": lambda desk, who: desk.administration.change(who, "bob", {"is_disabled": True}),
    "promote": lambda desk, who: desk.administration.change(who, "bob", {"is_admin": True}),
    "password": lambda desk, who: desk.administration.change(who, "bob", {"password": "x" * 9}),
    "delete": lambda desk, who: desk.administration.delete(who, "bob"),
    "add": lambda desk, who: desk.administration.add_member(who, "team", "bob"),
    "remove": lambda desk, who: desk.administration.remove_member(who, "team", "carl"),
    "see": lambda desk, who: desk.administration.find(who, "bob"),
    "tokens": lambda desk, who: desk.administration.list_tokens(who, "bob"),
    "token": lambda desk, who: desk.administration.create_token(who, "bob", "x", [READ]),
    "revoke": lambda desk, who: desk.administration.revoke_token(
        who, desk.tokens.list(desk.bob)[0].id
    ),
}
FOR_USERS: dict[str, Call] = {
    "password": lambda desk, who: desk.administration.change(who, "alice", {"password": "x" * 9}),
    "key": lambda desk, who: desk.administration.change(who, "alice", {"public_key": KEY}),
    "tokens": lambda desk, who: desk.administration.list_tokens(who, "alice"),
    "token": lambda desk, who: desk.administration.create_token(who, "alice", "x", [READ]),
    "revoke": lambda desk, who: desk.administration.revoke_token(
        who, desk.tokens.list(desk.alice)[0].id
    ),
}


def make_desk() -> Desk:
    """Return accounts with a group and tokens."""
    desk = Desk()
    desk.accounts.create("carl")
    desk.accounts.create("team", kind="group")
    desk.accounts.add_member("team", "carl")
    desk.tokens.create(desk.alice, "own", [READ])
    desk.tokens.create(desk.bob, "his", [READ])
    return desk


def look(desk: Desk) -> object:
    """Return all that a call could change."""
    accounts = desk.accounts.list()
    tokens = [desk.tokens.list(account) for account in accounts]
    return accounts, tokens, desk.accounts.members("team"), desk.actions()


@pytest.mark.parametrize("name", FOR_ADMINISTRATORS)
def test_only_administrators_change_others(name: str) -> None:
    desk, call = make_desk(), FOR_ADMINISTRATORS[name]
    viewers = {
        "nobody": ANYBODY,
        "another user": desk.viewer(desk.alice),
        "too small a scope": desk.viewer(desk.root, READ, PUBLISH),
        "one repository": desk.viewer(desk.root, repository="tf"),
        "one repository, own": desk.viewer(desk.alice, repository="tf"),
    }
    before = look(desk)
    for who, viewer in viewers.items():
        with pytest.raises(HubError) as caught:
            call(desk, viewer)
        assert caught.value.http_status in (401, 403, 404), who
        assert look(desk) == before, who
    call(desk, desk.viewer(desk.root))
    call(make_desk(), CONSOLE)


@pytest.mark.parametrize("name", FOR_USERS)
def test_users_change_their_own_account_with_the_scope_admin(name: str) -> None:
    desk, call = make_desk(), FOR_USERS[name]
    before = look(desk)
    for viewer in (ANYBODY, desk.viewer(desk.bob), desk.viewer(desk.alice, READ, PUBLISH),
                   desk.viewer(desk.alice, repository="alice")):  # fmt: skip
        with pytest.raises(HubError) as caught:
            call(desk, viewer)
        assert caught.value.http_status in (401, 403, 404)
        assert look(desk) == before
    call(desk, desk.viewer(desk.alice))
    call(desk, desk.viewer(desk.root))


@pytest.mark.parametrize("change", [{"is_admin": True}, {"quota_bytes": 1}, {"subject": "x"},
                                    {"is_disabled": False}])  # fmt: skip
def test_users_do_not_promote_themselves(change: dict[str, object]) -> None:
    desk = make_desk()
    with pytest.raises(ForbiddenError):
        desk.administration.change(desk.viewer(desk.alice), "alice", {"public_key": KEY, **change})
    assert desk.accounts.find("alice") == desk.alice


def test_others_are_not_told_what_exists() -> None:
    desk = make_desk()
    texts = []
    for name in ("bob", "nobody"):
        with pytest.raises(AbsentError) as caught:
            desk.administration.find(desk.viewer(desk.alice), name)
        texts.append(caught.value.message.replace(name, "NAME"))
    assert texts[0] == texts[1]
    his, missing = desk.tokens.list(desk.bob)[0].id, "00000000"
    texts = []
    for mark in (his, missing):
        with pytest.raises(AbsentError) as caught:
            desk.administration.revoke_token(desk.viewer(desk.alice), mark)
        texts.append(caught.value.message.replace(mark, "ID"))
    assert texts[0] == texts[1]


def test_members_see_their_group() -> None:
    desk = make_desk()
    carl = desk.viewer(desk.accounts.find("carl"))
    assert list(desk.administration.members(carl, "team")) == ["carl"]
    with pytest.raises(AbsentError):
        desk.administration.members(desk.viewer(desk.alice), "team")


def test_a_token_makes_none_that_can_do_more() -> None:
    desk = make_desk()
    viewer = desk.viewer(desk.alice, ADMIN, READ)
    with pytest.raises(ForbiddenError, match="lacks the scope publish"):
        desk.administration.create_token(viewer, "alice", "x", [READ, PUBLISH])
    text = desk.administration.create_token(viewer, "alice", "x", [READ], repository="tf")
    assert desk.tokens.find_viewer(text).repository == "tf"


def test_every_change_is_in_the_audit_log_and_no_secret() -> None:
    desk = make_desk()
    root, change = desk.viewer(desk.root), desk.administration.change
    desk.administration.create(root, "dave", password=PASSWORD)
    change(root, "dave", {"password": "another one", "quota_bytes": 7, "public_key": None})
    text = desk.administration.create_token(root, "dave", "ci", [READ], repository="tf")
    desk.administration.revoke_token(root, text.split("_")[1])
    desk.administration.add_member(root, "team", "dave")
    desk.administration.remove_member(root, "team", "dave")
    desk.administration.delete(root, "dave")
    lines = [(line.action, line.subject, line.detail) for line in reversed(desk.audit.page())]
    assert lines == [
        ("account.create", "dave", "user"),
        ("account.change", "dave", "password"),
        ("account.change", "dave", "quota_bytes: 7"),
        ("account.change", "dave", "public_key"),
        ("token.create", "dave", "ci: read, tf only"),
        ("token.revoke", "dave", text.split("_")[1]),
        ("group.add", "team", "dave"),
        ("group.remove", "team", "dave"),
        ("account.delete", "dave", ""),
    ]
    assert {(line.account, line.address) for line in desk.audit.page()} == {("root", "192.0.2.1")}


def test_a_token_is_needed() -> None:
    with pytest.raises(NotSignedInError):
        make_desk().administration.find(ANYBODY, "alice")
