"""The ways to sign in, each with the same limits and the same line in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass

from flist.hub.accounts.accounts import Account, Accounts
from flist.hub.accounts.challenge import Challenges
from flist.hub.accounts.limits import SignInLimits
from flist.hub.accounts.tokens import Tokens
from flist.hub.errors import NotSignedInError
from flist.hub.state.audit import Audit
from flist.hub.state.viewer import PUBLISH, READ, SCOPES, UPLOAD, Viewer

USUAL_SCOPES = (READ, UPLOAD, PUBLISH)
SESSION_DAYS = 1.0
PAGES_DAYS = 7.0


@dataclass(frozen=True, slots=True)
class Wish:
    """The session that a client would like."""

    name: str = "sign-in"
    scopes: tuple[str, ...] = USUAL_SCOPES
    days: float = SESSION_DAYS
    repository: str | None = None


PAGES = Wish("web pages", SCOPES, PAGES_DAYS)


class SignIns:
    """Lets users in. What it returns is the text of a session's token."""

    def __init__(
        self,
        accounts: Accounts,
        tokens: Tokens,
        challenges: Challenges,
        limits: SignInLimits,
        audit: Audit,
    ) -> None:
        self.accounts = accounts
        self.tokens = tokens
        self.challenges = challenges
        self.limits = limits
        self.audit = audit

    def by_password(self, name: str, password: str, address: str, wish: Wish) -> str:
        """Sign in with a password. Raises `NotSignedInError` and `TooManyRequestsError`."""
        return self.admit(self.check_password(name, password, address), address, wish, "password")

    def check_password(self, name: str, password: str, address: str) -> Account:
        """Return the account whose password this is. Raises as `by_password` does."""
        return self.find(name, address, lambda: self.accounts.check_password(name, password))

    def by_key(
        self, name: str, nonce: str, signature: str, host: str, address: str, wish: Wish
    ) -> str:
        """Sign in with the signature of a nonce. Raises as `by_password` does."""

        def find_signer() -> Account | None:
            return self.challenges.find_signer(name, nonce, signature, host)

        return self.admit(self.find(name, address, find_signer), address, wish, "key")

    def find(self, name: str, address: str, look: Callable[[], Account | None]) -> Account:
        """Return what `look` finds, within the limits; a failure is noted."""
        self.limits.take(name, address)
        account = look()
        if account is None:
            # Also for a name that does not exist: the answer must take as long.
            self.audit.note(Viewer(address=address), "session.refuse", name)
            raise NotSignedInError("no such user, or another password or key")
        return account

    def end(self, viewer: Viewer, text: str) -> None:
        """End the session of a valid token, whose viewer this is."""
        mark = text.split("_")[1]
        self.tokens.revoke(self.accounts.find(viewer.name), mark)
        self.audit.note(viewer, "session.end", viewer.name, mark)

    def admit(self, account: Account, address: str, wish: Wish, how: str) -> str:
        """Return a token for an account that has shown who it is."""
        text = self.tokens.create(
            account, wish.name, wish.scopes, wish.days, wish.repository, is_session=True
        )
        self.limits.remember(account, address)
        viewer = Viewer(name=account.name, account_id=account.id, address=address)
        self.audit.note(viewer, "session.create", account.name, f"by {how}; {wish.name}")
        return text
