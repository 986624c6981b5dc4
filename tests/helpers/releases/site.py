"""A bootstrap server that takes releases, without images of its own.

    python -m tests.helpers.releases.site STORE ROOT STATE

runs it as a process, on any port, and prints its URL.
"""

import sys
from pathlib import Path

from fastapi import FastAPI

from bootstrap_server.settings import Settings
from bootstrap_server.state.opening import SCOPES, open_state
from bootstrap_server.web.app import create_app
from serving.listen import open_listener, own_url
from serving.run import run
from serving.settings import ServerSettings
from serving.tokens import Tokens

BODY_S = 2.0


def make_app(store: Path, root: bytes, state: Path | None) -> FastAPI:
    """Return the application."""
    settings = Settings(
        "http://boot.example", "http://hub.example", store=store, root=root, state=state
    )
    return create_app(settings, ServerSettings(log_format="json", body_timeout=BODY_S))


def make_token(state: Path, *scopes: str, name: str = "ci") -> str:
    """Return a new token of a server's state."""
    database = open_state(state, "")
    try:
        return Tokens(database, SCOPES).create(name, scopes or ["publish"])
    finally:
        database.close()


def main() -> None:
    """Run the server."""
    store, root, state = map(Path, sys.argv[1:])
    with open_listener("127.0.0.1", 0) as listener:
        app = make_app(store, root.read_bytes(), state)
        run(app, listener, lambda: print(own_url(listener, is_tls=False), flush=True))


if __name__ == "__main__":
    main()
