"""Tokens: what they allow, and until when."""

import pytest
from sqlalchemy import func, insert, select

from flist.hub.accounts.tokens import KEPT_S, MAX_PER_ACCOUNT, Token
from flist.hub.errors import AbsentError, ConflictError, InvalidError, NotSignedInError
from flist.hub.state.tables import TOKENS
from flist.hub.state.viewer import PUBLISH, READ, SCOPES
from serving.tokens import DAY_S, TOKEN
from tests.helpers.flist.desk import Desk


def only(desk: Desk) -> Token:
    """Return the only token of alice."""
    (token,) = desk.tokens.list(desk.alice)
    return token


def test_a_token_says_who_and_what() -> None:
    desk = Desk()
    text = desk.tokens.create(desk.alice, "ci", [READ, PUBLISH], repository="tf")
    assert TOKEN.fullmatch(text)
    viewer = desk.tokens.find_viewer(text, "192.0.2.7")
    assert (viewer.name, viewer.account_id) == ("alice", desk.alice.id)
    assert viewer.scopes == {READ, PUBLISH}
    assert viewer.repository == "tf"
    assert (viewer.address, viewer.is_known) == ("192.0.2.7", True)
    assert only(desk).name == "ci"


def test_the_database_has_no_secret() -> None:
    desk = Desk()
    text = desk.tokens.create(desk.alice, "ci", SCOPES)
    with desk.database.reading() as connection:
        row = connection.execute(select(TOKENS)).one()
    assert text.split("_", 2)[2] not in str(row)


@pytest.mark.parametrize(
    "wrong", ["", "x", "zos_", "zos_00000000_" + "A" * 43, "zos_00000000_" + "é" * 43, "a" * 99999]
)
def test_texts_that_are_no_tokens_are_refused(wrong: str) -> None:
    with pytest.raises(NotSignedInError):
        Desk().tokens.find_viewer(wrong)


def test_another_secret_or_id_is_refused() -> None:
    desk = Desk()
    one = desk.tokens.create(desk.alice, "one", SCOPES)
    two = desk.tokens.create(desk.alice, "two", SCOPES)
    for wrong in (one[:13] + two[13:], one[:-1] + ("A" if one[-1] != "A" else "B"), one + "\n"):
        with pytest.raises(NotSignedInError):
            desk.tokens.find_viewer(wrong)


def test_a_token_ends_at_its_time_and_not_before() -> None:
    desk = Desk()
    text = desk.tokens.create(desk.alice, "ci", [READ], days=1)
    lasting = desk.tokens.create(desk.alice, "for ever", [READ], days=0)
    desk.clock.now_s += DAY_S - 1
    assert desk.tokens.find_viewer(text).is_known
    desk.clock.now_s += 1
    with pytest.raises(NotSignedInError, match="expired"):
        desk.tokens.find_viewer(text)
    desk.clock.now_s += 100 * 365 * DAY_S
    assert desk.tokens.find_viewer(lasting).is_known


def test_a_revoked_token_is_refused_at_once() -> None:
    desk = Desk()
    text = desk.tokens.create(desk.alice, "ci", [READ])
    with pytest.raises(AbsentError):
        desk.tokens.revoke(desk.bob, only(desk).id)
    assert desk.tokens.find_viewer(text).is_known
    desk.tokens.revoke(desk.alice, only(desk).id)
    with pytest.raises(NotSignedInError, match="revoked"):
        desk.tokens.find_viewer(text)
    at_s = only(desk).revoked_s
    desk.clock.now_s += 5
    desk.tokens.revoke(desk.alice, only(desk).id)
    assert only(desk).revoked_s == at_s


def test_membership_counts_at_once() -> None:
    desk = Desk()
    text = desk.tokens.create(desk.alice, "ci", [READ])
    for name in ("one", "two"):
        desk.accounts.create(name, kind="group")
        desk.accounts.add_member(name, "alice")
    viewer = desk.tokens.find_viewer(text)
    assert viewer.groups == {"one", "two"}
    assert viewer == desk.accounts.viewer_of(desk.alice, [READ])
    desk.accounts.disable("one")
    desk.accounts.remove_member("two", "alice")
    assert desk.tokens.find_viewer(text).groups == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []}, {"scopes": ["everything"]}, {"days": -1}, {"days": 1e9},
        {"days": float("nan")}, {"name": ""}, {"name": "a\nb"}, {"name": "x" * 101},
        {"repository": ""}, {"repository": "x" * 101},
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    desk = Desk()
    wish: dict[str, object] = {"name": "ci", "scopes": [READ], **wrong}
    with pytest.raises(InvalidError):
        desk.tokens.create(desk.alice, **wish)  # type: ignore[arg-type]
    assert desk.tokens.list(desk.alice) == []


def test_sessions_that_are_over_are_forgotten_in_time() -> None:
    desk = Desk()
    desk.tokens.create(desk.alice, "web", [READ], days=1, is_session=True)
    desk.tokens.create(desk.alice, "ci", [READ], days=1)
    desk.clock.now_s += DAY_S + KEPT_S + 1
    desk.tokens.create(desk.alice, "web again", [READ], is_session=True)
    assert [token.name for token in desk.tokens.list(desk.alice)] == ["ci", "web again"]


def test_an_account_has_no_end_of_tokens() -> None:
    desk = Desk()
    row = {"account_id": desk.alice.id, "name": "x", "digest": "", "scopes": "read",
           "is_session": True, "created_s": 0.0}  # fmt: skip
    with desk.database.writing() as connection:
        rows = [{**row, "id": f"{number:08x}"} for number in range(MAX_PER_ACCOUNT)]
        connection.execute(insert(TOKENS), rows)
    with pytest.raises(ConflictError):
        desk.tokens.create(desk.alice, "one more", [READ])
    desk.tokens.create(desk.bob, "his own", [READ])
    with desk.database.reading() as connection:
        count = connection.execute(select(func.count()).select_from(TOKENS)).scalar()
    assert count == MAX_PER_ACCOUNT + 1
