"""How often a client may try to sign in: per address, and per account.

A server limits what it sees itself; several servers allow as many times more. A flood of tries on
one account, from wherever, uses up what strangers may try on it. An address from which the account
has signed in before has a limit of its own, so that a flood does not keep the account's owner out.
"""

import threading
import time
from collections.abc import Callable

from sqlalchemy import delete, select, update

from flist.hub.accounts.accounts import Account
from flist.hub.state.tables import ACCOUNTS, NETWORKS
from serving.database import Database, insert_new
from serving.rates import RateLimit, TooManyRequestsError, group_address

PER_ACCOUNT_PER_MINUTE = 10
PER_ACCOUNT_BURST = 20
KNOWN_S = 90 * 86400
MAX_NETWORKS = 50


class SignInLimits:
    """The limits of one server. 0 per minute is no limit."""

    def __init__(
        self,
        database: Database,
        per_minute: float,
        burst: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.clock = clock
        per_account = PER_ACCOUNT_PER_MINUTE if per_minute else 0
        self.addresses = RateLimit(per_minute, burst, clock)
        self.strangers = RateLimit(per_account, PER_ACCOUNT_BURST, clock)
        self.known = RateLimit(per_account, PER_ACCOUNT_BURST, clock)
        self.lock = threading.Lock()

    def take(self, name: str, address: str) -> None:
        """Count a try to sign in as `name`. Raises `TooManyRequestsError`."""
        network = group_address(address)
        with self.lock:
            wait_s = self.addresses.take(network)
        if wait_s:
            raise TooManyRequestsError(wait_s)
        is_known = self.is_known(name, network)
        with self.lock:
            wait_s = self.known.take(f"{name} {network}") if is_known else self.strangers.take(name)
        if wait_s:
            raise TooManyRequestsError(wait_s, "too many requests for this account")

    def is_known(self, name: str, network: str) -> bool:
        """Return whether the account has signed in from this network before."""
        joined = NETWORKS.join(ACCOUNTS, NETWORKS.c.account_id == ACCOUNTS.c.id)
        asked = select(NETWORKS.c.at_s).select_from(joined)
        asked = asked.where(ACCOUNTS.c.name == name, NETWORKS.c.network == network)
        with self.database.reading() as connection:
            seen_s = connection.execute(asked).scalar()
        return seen_s is not None and seen_s > self.clock() - KNOWN_S

    def remember(self, account: Account, address: str) -> None:
        """Note from where an account has signed in; the last `MAX_NETWORKS` are kept."""
        network, now_s = group_address(address)[:64], self.clock()
        mine = NETWORKS.c.account_id == account.id
        row = {"account_id": account.id, "network": network, "at_s": now_s}
        with self.database.writing() as connection:
            if not insert_new(connection, NETWORKS, row):
                seen = update(NETWORKS).where(mine, NETWORKS.c.network == network)
                connection.execute(seen.values(at_s=now_s))
                return
            newest = select(NETWORKS.c.network).where(mine).order_by(NETWORKS.c.at_s.desc())
            kept = list(connection.execute(newest.limit(MAX_NETWORKS)).scalars())
            connection.execute(delete(NETWORKS).where(mine, NETWORKS.c.network.not_in(kept)))
