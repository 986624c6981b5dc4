"""The JSON of accounts, tokens, repositories and sign-ins."""

from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flist.hub.accounts.accounts import Account
from flist.hub.accounts.names import MAX_PASSWORD
from flist.hub.accounts.signin import SESSION_DAYS, USUAL_SCOPES, Wish
from flist.hub.accounts.tokens import DEFAULT_DAYS, Token
from flist.hub.library.values import Repository
from flist.hub.state.audit import Event

NAME_CHARS = 100
KEY_CHARS = 64
MAX_SIGNERS = 100


class Asked(BaseModel):
    """What a client sends: nothing but what is named here."""

    model_config = ConfigDict(extra="forbid")


class SignIn(BaseModel):
    """A name with a password, or with a signature (hex) of a nonce. Upstream's clients may send
    more, which is ignored."""

    username: str = Field(max_length=NAME_CHARS)
    password: str | None = Field(default=None, max_length=MAX_PASSWORD)
    nonce: str = Field(default="", max_length=64)
    signature: str = Field(default="", max_length=128)
    scopes: list[str] = Field(default=list(USUAL_SCOPES), max_length=10)
    days: float = Field(default=SESSION_DAYS, gt=0, allow_inf_nan=False)
    repository: str | None = Field(default=None, max_length=NAME_CHARS)

    @model_validator(mode="after")
    def check_proof(self) -> Self:
        """Refuse a sign-in with neither."""
        if self.password is None and not (self.nonce and self.signature):
            raise ValueError("it needs a password, or a nonce with its signature")
        return self

    @property
    def wish(self) -> Wish:
        """Return the session that the client would like."""
        return Wish("sign-in", tuple(self.scopes), self.days, self.repository)


class SignedIn(BaseModel):
    """The token of a session."""

    access_token: str


class ChallengeAsked(Asked):
    """Who would like to sign in with a key."""

    username: str = Field(max_length=NAME_CHARS)


class Challenge(BaseModel):
    """What has to be signed: the lines purpose, host, username, nonce, each with its newline."""

    purpose: str
    host: str
    nonce: str
    expires_in: int


class NewAccount(Asked):
    """A user or a group."""

    name: str = Field(max_length=NAME_CHARS)
    kind: str = Field(default="user", pattern="^(user|group)$")
    password: str | None = Field(default=None, max_length=MAX_PASSWORD)
    public_key: str | None = Field(default=None, max_length=KEY_CHARS)
    subject: str | None = Field(default=None, max_length=500)
    is_admin: bool = False


class AccountChange(Asked):
    """What changes in an account; users give their present password for a new one."""

    password: str | None = Field(default=None, max_length=MAX_PASSWORD)
    current_password: str = Field(default="", max_length=MAX_PASSWORD)
    public_key: str | None = Field(default=None, max_length=KEY_CHARS)
    subject: str | None = Field(default=None, max_length=500)
    is_admin: bool = False
    is_disabled: bool = False
    quota_bytes: int | None = Field(default=None, ge=0, le=1 << 60)

    @model_validator(mode="after")
    def check_password(self) -> Self:
        """Refuse to take a password away: without one, an account is disabled."""
        if "password" in self.model_fields_set and self.password is None:
            raise ValueError("a password can be changed, but not removed")
        return self

    @property
    def wanted(self) -> dict[str, Any]:
        """Return what the client has named."""
        return {
            key: getattr(self, key) for key in self.model_fields_set if key != "current_password"
        }


class AccountView(BaseModel):
    """An account, as its user and administrators see it."""

    name: str
    kind: str
    is_admin: bool
    is_disabled: bool
    has_password: bool
    public_key: str | None
    subject: str | None
    quota_bytes: int | None
    created: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountView":
        """Return what is shown of an account."""
        return cls(
            name=account.name, kind=account.kind, is_admin=account.is_admin,
            is_disabled=account.is_disabled, has_password=account.has_password,
            public_key=account.public_key, subject=account.subject,
            quota_bytes=account.quota_bytes, created=time_of(account.created_s),
        )  # fmt: skip


class Own(BaseModel):
    """Who the request is by, and what its token allows."""

    name: str
    scopes: list[str]
    groups: list[str]
    is_admin: bool
    repository: str | None


class NewToken(Asked):
    """A token of the own account, or for an administrator of any."""

    name: str = Field(min_length=1, max_length=NAME_CHARS)
    scopes: list[str] = Field(max_length=10)
    days: float = Field(default=DEFAULT_DAYS, ge=0, allow_inf_nan=False)
    repository: str | None = Field(default=None, max_length=NAME_CHARS)
    account: str = Field(default="", max_length=NAME_CHARS)


class TokenMade(BaseModel):
    """The text of a new token, which is shown this once."""

    id: str
    token: str


class TokenView(BaseModel):
    """What is known of a token."""

    id: str
    name: str
    scopes: list[str]
    repository: str | None
    is_session: bool
    state: str
    created: datetime
    expires: datetime | None

    @classmethod
    def of(cls, token: Token, now_s: float) -> "TokenView":
        """Return what is shown of a token."""
        return cls(
            id=token.id, name=token.name, scopes=list(token.scopes), repository=token.repository,
            is_session=token.is_session, state=token.find_fault(now_s) or "valid",
            created=time_of(token.created_s),
            expires=None if token.expires_s is None else time_of(token.expires_s),
        )  # fmt: skip


class NewRepository(Asked):
    """A repository of the own account, or of a group."""

    name: str = Field(max_length=NAME_CHARS)
    owner: str = Field(default="", max_length=NAME_CHARS)
    is_private: bool = False


class RepositoryChange(Asked):
    """What changes in a repository."""

    owner: str = Field(default="", max_length=NAME_CHARS)
    is_private: bool = False
    is_official: bool = False
    signers: list[str] = Field(default=[], max_length=MAX_SIGNERS)
    threshold: int = Field(default=0, ge=0, le=MAX_SIGNERS)
    keep_versions: int | None = Field(default=None, ge=0, le=1_000_000)

    @property
    def wanted(self) -> dict[str, Any]:
        """Return what the client has named."""
        return {key: getattr(self, key) for key in self.model_fields_set}


class RepositoryView(BaseModel):
    """A repository."""

    name: str
    owner: str
    is_private: bool
    is_official: bool
    signers: list[str]
    threshold: int
    keep_versions: int | None
    updated: datetime

    @classmethod
    def of(cls, repository: Repository) -> "RepositoryView":
        """Return what is shown of a repository."""
        return cls(
            name=repository.name, owner=repository.owner, is_private=repository.is_private,
            is_official=repository.is_official, signers=list(repository.signers),
            threshold=repository.threshold, keep_versions=repository.keep_versions,
            updated=time_of(repository.updated_s),
        )  # fmt: skip


class AuditLine(BaseModel):
    """One line of the audit log."""

    id: int
    at: datetime
    account: str
    address: str
    action: str
    subject: str
    detail: str

    @classmethod
    def of(cls, event: Event) -> "AuditLine":
        """Return what is shown of a line."""
        return cls(
            id=event.id, at=time_of(event.at_s), account=event.account, address=event.address,
            action=event.action, subject=event.subject, detail=event.detail,
        )  # fmt: skip


def time_of(time_s: float) -> datetime:
    """Return a time in UTC."""
    return datetime.fromtimestamp(time_s, UTC)


def describe_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI is told of a body that a route reads itself."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"content": content, "required": True}}
