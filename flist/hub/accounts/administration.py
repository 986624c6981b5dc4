"""Who may change accounts and tokens, with a line in the audit log for every change.

An administrator may change every account, a user some things of the own one; both need the scope
`admin`, and a token that is not limited to one repository. Others are not told what exists.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flist.hub.accounts.accounts import USER, Account, Accounts
from flist.hub.accounts.tokens import DEFAULT_DAYS, Token, Tokens
from flist.hub.errors import AbsentError, ForbiddenError, NotSignedInError, ScopeError
from flist.hub.state.audit import Audit
from flist.hub.state.viewer import ADMIN, SCOPES, Viewer

OWN = ("password", "public_key")
"""What users may change of their own account."""
CONSOLE = Viewer(name="(console)", scopes=frozenset(SCOPES), is_admin=True)
"""Who runs a command on the hub's machine. No account has such a name."""


class Administration:
    """Changes the accounts of one hub for a viewer."""

    def __init__(self, accounts: Accounts, tokens: Tokens, audit: Audit) -> None:
        self.accounts = accounts
        self.tokens = tokens
        self.audit = audit

    def find(self, viewer: Viewer, name: str) -> Account:
        """Return an account that the viewer may know of. Raises `AbsentError`."""
        demand_account(viewer)
        if not viewer.is_admin and name not in (viewer.name, *viewer.groups):
            raise AbsentError(f"there is no account {name[:100]!r}")
        return self.accounts.find(name)

    def list(self, viewer: Viewer) -> list[Account]:
        """Return all accounts."""
        demand_admin(viewer)
        return self.accounts.list()

    def create(self, viewer: Viewer, name: str, **what: Any) -> Account:
        """Make an account, as `Accounts.create` does."""
        demand_admin(viewer)
        account = self.accounts.create(name, **what)
        said = "administrator" if account.is_admin else account.kind
        self.audit.note(viewer, "account.create", name, said)
        return account

    def change(self, viewer: Viewer, name: str, what: Mapping[str, Any]) -> Account:
        """Change an account as `Accounts.change` does, and return it.

        Whoever lets a user set the own password has to ask for the present one first.
        """
        demand_scope(viewer)
        account = self.find(viewer, name)
        foreign = [key for key in what if key not in OWN]
        if not viewer.is_admin and (foreign or name != viewer.name):
            raise ForbiddenError("only an administrator may change this")
        self.accounts.change(account.name, what)
        for key, value in what.items():
            said = key if key == "password" or value is None else f"{key}: {value}"
            self.audit.note(viewer, "account.change", name, said)
        return self.accounts.find(name)

    def delete(self, viewer: Viewer, name: str) -> None:
        """Remove an account."""
        demand_admin(viewer)
        self.accounts.delete(name)
        self.audit.note(viewer, "account.delete", name)

    def members(self, viewer: Viewer, group: str) -> Sequence[str]:
        """Return the members of a group."""
        self.find(viewer, group)
        return self.accounts.members(group)

    def add_member(self, viewer: Viewer, group: str, user: str) -> None:
        """Make a user a member of a group."""
        demand_admin(viewer)
        self.accounts.add_member(group, user)
        self.audit.note(viewer, "group.add", group, user)

    def remove_member(self, viewer: Viewer, group: str, user: str) -> None:
        """Take a user out of a group."""
        demand_admin(viewer)
        self.accounts.remove_member(group, user)
        self.audit.note(viewer, "group.remove", group, user)

    def create_token(
        self,
        viewer: Viewer,
        user: str,
        name: str,
        scopes: Iterable[str],
        days: float = DEFAULT_DAYS,
        repository: str | None = None,
    ) -> str:
        """Return the text of a new token of an account; it can do no more than the viewer can."""
        demand_scope(viewer)
        wanted = tuple(scopes)
        account = self.find_user(viewer, user)
        beyond = [scope for scope in wanted if scope in SCOPES and scope not in viewer.scopes]
        if beyond:
            raise ForbiddenError(f"your own token lacks the scope {beyond[0]}")
        text = self.tokens.create(account, name, wanted, days, repository)
        said = f"{name}: {' '.join(wanted)}" + (f", {repository} only" if repository else "")
        self.audit.note(viewer, "token.create", account.name, said)
        return text

    def list_tokens(self, viewer: Viewer, user: str) -> Sequence[Token]:
        """Return the tokens of an account."""
        demand_scope(viewer)
        return self.tokens.list(self.find_user(viewer, user))

    def revoke_token(self, viewer: Viewer, mark: str) -> None:
        """Make a token of the viewer, or as an administrator any, invalid at once."""
        demand_scope(viewer)
        owner = self.tokens.owner(mark)
        if not viewer.is_admin and owner.name != viewer.name:
            raise AbsentError(f"there is no token {mark[:20]!r}")
        self.tokens.revoke(owner, mark)
        self.audit.note(viewer, "token.revoke", owner.name, mark)

    def find_user(self, viewer: Viewer, name: str) -> Account:
        """Return the viewer's own account, or for an administrator any. Raises `AbsentError`."""
        account = self.find(viewer, name)
        if account.kind != USER or (not viewer.is_admin and name != viewer.name):
            raise AbsentError(f"there is no user {name[:100]!r}")
        return account


def demand_account(viewer: Viewer) -> None:
    """Raise `NotSignedInError` for anybody, and `ForbiddenError` for a token of one repository."""
    if not viewer.is_known:
        raise NotSignedInError("a token is needed")
    if viewer.repository is not None:
        raise ForbiddenError(f"the token is for the repository {viewer.repository} only")


def demand_scope(viewer: Viewer, scope: str = ADMIN) -> None:
    """Raise `ForbiddenError` for a token without this scope."""
    demand_account(viewer)
    if scope not in viewer.scopes:
        raise ScopeError(scope)


def demand_admin(viewer: Viewer) -> None:
    """Raise `ForbiddenError` for all but administrators."""
    demand_scope(viewer)
    if not viewer.is_admin:
        raise ForbiddenError("only an administrator may do this")
