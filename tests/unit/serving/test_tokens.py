"""Tokens: made once, kept as a hash, checked for their scope, refused at once when they end."""

import hashlib
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import text

from common.errors import UsageError
from serving import kit
from serving.database import Database, create_tables, open_database
from serving.settings import ServerSettings
from serving.tokens import METADATA, Demand, ScopeError, Token, TokenError, Tokens
from tests.helpers.asgi import Answer, ask

SCOPES = ("publish", "nodes", "read")
DAY_S = 86400


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def database() -> Database:
    found = open_database("sqlite://")
    create_tables(found, METADATA)
    return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(database: Database, clock: Clock) -> Tokens:
    return Tokens(database, SCOPES, clock)


@pytest.fixture
def app(tokens: Tokens) -> FastAPI:
    app = FastAPI()
    kit.install(app, ServerSettings())
    app.state.tokens = tokens

    @app.post("/things")
    def make(token: Annotated[Token, Depends(Demand("publish"))]) -> dict[str, str]:
        return {"by": token.name}

    return app


def post(app: FastAPI, authorization: str) -> Answer:
    """Ask for what needs a token."""
    return ask(app, "/things", method="POST", authorization=authorization)


def test_a_token_opens_what_its_scope_says(app: FastAPI, tokens: Tokens) -> None:
    text = tokens.create("ci", ["publish", "read"])
    answer = post(app, f"Bearer {text}")
    assert (answer.status, answer.text) == (200, '{"by":"ci"}')


def test_without_a_token_the_answer_says_what_is_needed(app: FastAPI) -> None:
    answer = ask(app, "/things", method="POST")
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Basic dXNlcjpwYXNz", "Bearer", "Bearer "])
def test_another_scheme_is_no_token(app: FastAPI, scheme: str) -> None:
    assert post(app, scheme).status == 401


def test_a_wrong_token_is_refused(app: FastAPI, tokens: Tokens) -> None:
    good = tokens.create("ci", ["publish"])
    other = "B" if good[-2] == "A" else "A"
    for wrong in (
        good[:-2] + other + good[-1],
        good[:-1],
        good + "A",
        good.upper(),
        "zos_00000000_" + good[13:],
        "x",
        "\xe9" * 40,
        "a" * 5000,
    ):
        answer = post(app, f"Bearer {wrong}")
        assert answer.status == 401, wrong
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert wrong not in answer.text


def test_a_token_without_the_scope_is_refused(app: FastAPI, tokens: Tokens) -> None:
    answer = post(app, "Bearer " + tokens.create("page", ["read"]))
    assert answer.status == 403
    assert 'scope="publish"' in answer.headers["www-authenticate"]
    with pytest.raises(ScopeError):
        tokens.check(tokens.create("page", ["read"]), "nodes")


def test_a_revoked_token_is_refused_at_once(app: FastAPI, tokens: Tokens) -> None:
    text = tokens.create("ci", ["publish"])
    (token,) = tokens.list_all()
    assert tokens.revoke(token.id)
    answer = post(app, f"Bearer {text}")
    assert answer.status == 401
    assert "revoked" in answer.text
    assert tokens.revoke(token.id), "revoking twice is no error"
    assert not tokens.revoke("00000000")


def test_a_token_expires(tokens: Tokens, clock: Clock) -> None:
    text = tokens.create("ci", ["publish"], days=2)
    clock.now_s += 2 * DAY_S - 1
    assert tokens.check(text, "publish").name == "ci"
    clock.now_s += 1
    with pytest.raises(TokenError, match="expired"):
        tokens.check(text, "publish")


def test_the_database_holds_no_secret(tokens: Tokens, database: Database) -> None:
    mark, secret = tokens.create("ci", ["publish"]).split("_", 2)[1:]
    with database.reading() as connection:
        (row,) = connection.execute(text("SELECT * FROM tokens")).mappings()
    assert row["id"] == mark
    assert row["digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert secret not in str(dict(row))


def test_tokens_differ_and_have_256_bits(tokens: Tokens) -> None:
    made = {tokens.create("ci", ["read"]) for _ in range(50)}
    assert len(made) == 50
    assert all(len(text.split("_", 2)[2]) == 43 for text in made)


@pytest.mark.parametrize(
    ("name", "scopes", "days"),
    [
        ("", ["read"], 0),
        ("a\nb", ["read"], 0),
        ("x" * 101, ["read"], 0),
        ("ci", [], 0),
        ("ci", ["root"], 0),
        ("ci", ["read"], -1),
        ("ci", ["read"], 10**9),
    ],
)
def test_what_no_token_can_have(tokens: Tokens, name: str, scopes: list[str], days: int) -> None:
    with pytest.raises(UsageError):
        tokens.create(name, scopes, days)
    assert tokens.list_all() == []


def test_the_description_of_the_api_says_that_a_token_is_needed() -> None:
    app = FastAPI()

    @app.get("/things", dependencies=[Depends(Demand("publish"))])
    def show() -> None:
        """Show nothing."""

    assert app.openapi()["paths"]["/things"]["get"]["security"] == [{"HTTPBearer": []}]
