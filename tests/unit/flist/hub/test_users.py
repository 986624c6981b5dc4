"""Tokens of a hub's users, and what an attacker makes of them."""

import base64
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import UsageError
from flist.hub import uploads
from flist.hub.users import MAX_TOKEN, TOKEN_S, Users, parse_users, user_line
from tests.helpers.flist.hub import make_hub

LINE = user_line("farmer", "correct horse")
USERS = Users(LINE)
NOW = 1_800_000_000.0


def pack(value: object) -> str:
    """Return one part of a token."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_a_password_and_its_token() -> None:
    assert USERS.is_password("farmer", "correct horse")
    assert not USERS.is_password("farmer", "correct hors")
    assert not USERS.is_password("nobody", "correct horse")
    assert not USERS.is_password("farmer", "x" * 100_000)
    token = USERS.make_token("farmer", NOW)
    assert USERS.user_of(token, NOW) == "farmer"
    assert USERS.user_of(token, NOW + TOKEN_S - 1) == "farmer"
    assert USERS.user_of(token, NOW + TOKEN_S) is None
    head, body, _ = token.split(".")
    assert json.loads(base64.urlsafe_b64decode(head + "==")) == {"alg": "HS256", "typ": "JWT"}
    assert set(json.loads(base64.urlsafe_b64decode(body + "=="))) == {"exp", "iat", "username"}
    assert Users(LINE).user_of(token, NOW) == "farmer"  # another copy of the hub
    assert Users(user_line("farmer", "correct horse")).user_of(token, NOW) is None
    assert Users().user_of(token, NOW) is None
    assert Users().user_of(Users().make_token("", NOW), NOW) is None


def test_no_other_token_is_taken() -> None:
    token = USERS.make_token("farmer", NOW)
    head, body, signature = token.split(".")
    forged = pack({"exp": NOW * 2, "iat": 0, "username": "farmer"})
    for wrong in (
        f"{head}.{forged}.{signature}",
        f"{pack({'alg': 'none'})}.{forged}.",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{token}.",
        f"{token}=",
        "..",
        "",
    ):
        assert USERS.user_of(wrong, NOW) is None
    for place in range(len(token)):
        changed = token[:place] + ("B" if token[place] == "A" else "A") + token[place + 1 :]
        assert USERS.user_of(changed, NOW) is None


CLAIMS = {"exp": int(NOW) + 60, "iat": int(NOW), "username": "farmer"}


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_a_token_of_another_algorithm_is_refused(algorithm: str) -> None:
    key = "" if algorithm == "none" else USERS.key
    assert USERS.user_of(jwt.encode(CLAIMS, USERS.key, "HS256"), NOW) == "farmer"
    assert USERS.user_of(jwt.encode(CLAIMS, key, algorithm), NOW) is None


@pytest.mark.parametrize(
    "change",
    [
        {"exp": "9" * 10},
        {"exp": None},
        {"exp": [1]},
        {"exp": 1e300},
        {"username": 1},
        {"username": ["farmer"]},
        {"username": "nobody"},
        {"iat": "x"},
        {"padding": "x" * MAX_TOKEN},
    ],
)
def test_a_token_with_wrong_claims_is_refused(change: dict[str, Any]) -> None:
    """They are signed with the right key, so nothing but the claims is wrong."""
    token = jwt.encode({**CLAIMS, **change}, USERS.key, "HS256")
    assert USERS.user_of(token, NOW) is None
    for name in CLAIMS:
        rest = {key: value for key, value in CLAIMS.items() if key != name}
        assert USERS.user_of(jwt.encode(rest, USERS.key, "HS256"), NOW) is None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text("ab.=_-", max_size=60))
def test_any_text_as_a_token(text: str) -> None:
    assert USERS.user_of(text, NOW) is None


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text("ab:=#\n", max_size=60))
def test_any_text_as_users(text: str) -> None:
    try:
        assert len(parse_users(text)) <= len(text)
    except UsageError as error:
        assert error.hint


def test_users_are_read() -> None:
    text = f"# people\n\n{LINE}  # a comment\n{user_line('b@c', 'another word')}\n"
    assert set(parse_users(text)) == {"farmer", "b@c"}
    for wrong in ("farmer", "farmer:a:b", LINE[:-4], f"{LINE}:x", LINE.replace("farmer", "a/b")):
        with pytest.raises(UsageError, match="line 1"):
            parse_users(wrong)


def test_a_password_that_is_not_text_is_refused() -> None:
    """What is not UTF-8 comes from stdin as surrogates."""
    with pytest.raises(UsageError, match="UTF-8"):
        user_line("farmer", b"\xff\xfe long enough".decode(errors="surrogateescape"))


def test_too_many_sign_ins_at_once_are_told_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of many addresses, each within its own limit, fill the queue for passwords."""
    hub = make_hub(tmp_path / "hub")
    asked = {"username": "alice", "password": "alice-password"}
    assert hub.send("POST", "/api/v1/signin", asked).status == 201
    monkeypatch.setattr(uploads, "MAX_WAITING_SIGN_INS", 0)
    answer = hub.send("POST", "/api/v1/signin", asked)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
