"""A hub with accounts in this process, with users and tokens, and requests to it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from flist.hub.accounts.passwords import Passwords
from flist.hub.app import create_hub_app
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.viewer import PUBLISH, READ, SCOPES, UPLOAD, Viewer
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.desk import Cheap

NAMES = ("alice", "bob")
OPERATOR = "operator"


@dataclass(frozen=True)
class LocalHub:
    """The application and its folder; `tokens` are those of alice, bob and the administrator."""

    app: FastAPI
    hub: Hub
    root: Path
    tokens: dict[str, str]

    def send(self, method: str, path: str, body: bytes | object = b"", *, user: str = "") -> Answer:
        """Send a request as a user, or as nobody (user is empty)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.tokens[user]}"} if user else {}
        if not isinstance(body, bytes):
            headers["content-type"] = "application/json"
        return send_body(self.app, method, path, data, headers)

    def get(self, path: str, *, user: str = "") -> Any:
        """Return the JSON at `path`."""
        answer = self.send("GET", path, user=user)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)

    def viewer(self, user: str) -> Viewer:
        """Return the viewer that a user's token stands for."""
        return self.hub.tokens.find_viewer(self.tokens[user])


def make_hub(root: Path, **settings: Any) -> LocalHub:
    """Return a hub in the folder `root`."""
    root.mkdir(exist_ok=True)
    Passwords.time_cost, Passwords.memory_kib = Cheap.time_cost, Cheap.memory_kib
    hub = open_hub(HubSettings(root=root, **settings))
    return LocalHub(create_hub_app(hub), hub, root, add_users(hub))


def add_users(hub: Hub) -> dict[str, str]:
    """Make the users, if they are not there yet; return a token of each by name."""
    tokens = {}
    known = {account.name: account for account in hub.accounts.list()}
    for name in (*NAMES, OPERATOR):
        is_admin = name == OPERATOR
        account = known.get(name) or hub.accounts.create(
            name, password=f"{name}-password", is_admin=is_admin
        )
        scopes = SCOPES if is_admin else (READ, UPLOAD, PUBLISH)
        tokens[name] = hub.tokens.create(account, "tests", scopes)
    return tokens
