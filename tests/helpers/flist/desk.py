"""The accounts of a hub in memory, with a clock that tests set."""

from dataclasses import dataclass, field

from flist.hub.accounts.accounts import Account, Accounts
from flist.hub.accounts.administration import Administration
from flist.hub.accounts.challenge import Challenges
from flist.hub.accounts.limits import SignInLimits
from flist.hub.accounts.passwords import Passwords
from flist.hub.accounts.signin import SignIns
from flist.hub.accounts.tokens import Tokens
from flist.hub.state.audit import Audit
from flist.hub.state.tables import METADATA
from flist.hub.state.viewer import SCOPES, Viewer
from serving.database import Database, create_tables, open_database


class Cheap(Passwords):
    """Passwords that take no time."""

    time_cost, memory_kib = 1, 8


CHEAP = Cheap()
PASSWORD = "correct horse"
START_S = 1_800_000_000.0


@dataclass
class Clock:
    """A time that stands still."""

    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


def open_memory() -> Database:
    """Return an empty database with all tables."""
    database = open_database("sqlite://")
    create_tables(database, METADATA)
    return database


@dataclass
class Desk:
    """Accounts and all that is about them: alice, bob, and the administrator root."""

    database: Database = field(default_factory=open_memory)
    clock: Clock = field(default_factory=Clock)
    per_minute: float = 30
    burst: int = 30

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.database, CHEAP, self.clock)
        self.tokens = Tokens(self.database, self.clock)
        self.audit = Audit(self.database)
        self.challenges = Challenges(self.database, self.clock)
        self.limits = SignInLimits(self.database, self.per_minute, self.burst, self.clock)
        self.sign_ins = SignIns(
            self.accounts, self.tokens, self.challenges, self.limits, self.audit
        )
        self.administration = Administration(self.accounts, self.tokens, self.audit)
        self.alice = self.accounts.create("alice", password=PASSWORD)
        self.bob = self.accounts.create("bob", password=PASSWORD)
        self.root = self.accounts.create("root", password=PASSWORD, is_admin=True)

    def viewer(self, account: Account, *scopes: str, repository: str | None = None) -> Viewer:
        """Return the viewer of an account, with all scopes if none are named."""
        return self.accounts.viewer_of(account, scopes or SCOPES, repository, "192.0.2.1")

    def actions(self) -> list[str]:
        """Return the audit log, oldest first."""
        lines = reversed(self.audit.page())
        return [f"{line.account} {line.action} {line.subject}" for line in lines]
