"""A registry: its parts, which routes and commands share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from registry.availability.months import Availability
from registry.errors import SettingsError
from registry.farms.farms import Farms
from registry.log.log import Log
from registry.log.notes import parse_verifier
from registry.log.scribe import Scribe
from registry.names import show_key
from registry.nodes.nodes import Nodes
from registry.nodes.proofs import (
    CheckQuote,
    CheckToken,
    check_tpm_quote,
    make_token_check,
)
from registry.settings import RegistrySettings
from registry.state.key import RegistryKey, load_key, read_public_key
from registry.state.opening import SCOPES, begin_log, has_state, open_state
from registry.views.search import Search
from registry.views.sums import Summary
from serving.database import Database
from serving.tokens import Tokens


@dataclass
class Registry:
    """The parts of a registry; `kit` is the server's, None for a command."""

    settings: RegistrySettings
    database: Database
    key: RegistryKey
    log: Log
    scribe: Scribe
    farms: Farms
    nodes: Nodes
    availability: Availability
    search: Search
    summary: Summary
    tokens: Tokens
    check_token: CheckToken | None
    check_quote: CheckQuote
    kit: Any = None

    def close(self) -> None:
        """Write what waits, and close the database."""
        self.scribe.close()
        self.database.close()


def open_registry(settings: RegistrySettings) -> Registry:
    """Return the registry of `settings`. Raises `SettingsError` if none has been made there."""
    if not has_state(settings.state, settings.database):
        raise SettingsError(
            f"cannot use {settings.state}: there is no registry",
            hint=f"`zos registry init {settings.state}` makes one",
        )
    return make_lasting(settings)


def make_lasting(settings: RegistrySettings) -> Registry:
    """Return the registry of `settings`, whose key and database are made if need be."""
    key = load_key(settings.key, settings.state)
    return make_registry(settings, lambda: open_state(settings.state, settings.database), key)


def make_registry(
    settings: RegistrySettings,
    opener: Callable[[], Database],
    key: RegistryKey,
    clock: Callable[[], float] = time.time,
) -> Registry:
    """Return the parts that work on a database, which is opened when nothing else is missing.

    Raises `SettingsError`.
    """
    check_token = make_token_check([read_public_key(path) for path in settings.enrolment_key])
    witnesses = [parse_verifier(text) for text in settings.witness]
    database = opener()
    begin_log(database, settings.origin, show_key(key.public), clock())
    search = Search(database, settings.interval, clock)
    return Registry(
        settings,
        database,
        key,
        Log(database, key, settings.origin, witnesses, clock),
        Scribe(database, clock),
        Farms(database),
        Nodes(database, key.secret, is_strict=settings.enrolled_only),
        Availability(database, key, settings.origin, clock),
        search,
        Summary(search),
        Tokens(database, SCOPES),
        check_token,
        check_tpm_quote,
    )
