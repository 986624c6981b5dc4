"""A hub with accounts: its parts, which routes and commands share."""

import contextlib
from dataclasses import dataclass
from typing import Any

from flist.errors import FlistError
from flist.hub.accounts.accounts import Accounts
from flist.hub.accounts.administration import Administration
from flist.hub.accounts.challenge import Challenges
from flist.hub.accounts.limits import SignInLimits
from flist.hub.accounts.signin import SignIns
from flist.hub.accounts.tokens import Tokens
from flist.hub.contents.contents import Contents
from flist.hub.library.flists import Flists
from flist.hub.library.readers import Readers
from flist.hub.library.repositories import Repositories
from flist.hub.settings import HubSettings
from flist.hub.state.audit import Audit
from flist.hub.state.blocks import Blocks
from flist.hub.state.objects import Objects
from flist.hub.state.opening import open_state
from flist.hub.state.viewer import Viewer
from flist.store.base import Store, open_store
from serving.database import Database


@dataclass
class Hub:
    """The parts of a hub. `kit` is the server's, None for a command; `jobs` is set by the server
    or command that runs some. `everybody` is who a request without a token is by, if anybody may
    change things."""

    settings: HubSettings
    database: Database
    store: Store
    blocks: Blocks
    objects: Objects
    contents: Contents
    readers: Readers
    repositories: Repositories
    flists: Flists
    accounts: Accounts
    tokens: Tokens
    audit: Audit
    sign_ins: SignIns
    administration: Administration
    jobs: Any = None
    kit: Any = None
    everybody: Viewer | None = None

    def close(self) -> None:
        """Close the database and the store."""
        with contextlib.suppress(FlistError):
            self.store.close()
        self.database.close()


def open_hub(settings: HubSettings) -> Hub:
    """Return the hub of `settings`, whose database is brought to this version."""
    store = open_store(settings.store_url)
    allow_large(store, settings.max_block_bytes)
    return make_hub(settings, open_state(settings.root, settings.database), store)


def allow_large(store: Store, max_bytes: int) -> None:
    """Let a store give blocks that are larger than those of a flist: uploaded files have some."""
    known = getattr(store, "max_bytes", None)
    if known is not None:
        store.max_bytes = max(known, max_bytes)  # type: ignore[attr-defined]


def make_hub(settings: HubSettings, database: Database, store: Store) -> Hub:
    """Return a hub of its database and store."""
    audit, readers = Audit(database), Readers(database)
    blocks, objects = Blocks(database, store, settings.quota_bytes), Objects(database)
    contents = Contents(blocks, objects, settings.root, settings.cache_bytes)
    repositories = Repositories(database, readers, audit)
    flists = Flists(database, contents, repositories, readers, audit, settings.keep_versions)
    accounts = Accounts(database)
    tokens = Tokens(database)
    limits = SignInLimits(database, settings.sign_in_per_minute, settings.sign_in_burst)
    sign_ins = SignIns(accounts, tokens, Challenges(database), limits, audit)
    administration = Administration(accounts, tokens, audit)
    return Hub(settings, database, store, blocks, objects, contents, readers, repositories, flists,
               accounts, tokens, audit, sign_ins, administration)  # fmt: skip
