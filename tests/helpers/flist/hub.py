"""A hub in this process, with tokens and users, and requests to it."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from flist.hub.app import create_app
from flist.hub.settings import HubSettings
from flist.hub.users import Users, user_line
from tests.helpers.asgi import Answer, send_body

TOKEN = "a-token-of-24-characters"
NAMES = ("alice", "bob")


@dataclass(frozen=True)
class LocalHub:
    """The application and its folder; `tokens` are the users' own."""

    app: FastAPI
    root: Path
    tokens: dict[str, str]

    def send(self, method: str, path: str, body: bytes | object = b"", *, user: str = "") -> Answer:
        """Send a request as a user (alice, bob), as the operator, or as nobody (user is empty)."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {self.tokens[user]}"} if user else {}
        if not isinstance(body, bytes):
            headers["content-type"] = "application/json"
        return send_body(self.app, method, path, data, headers)

    def get(self, path: str) -> Any:
        """Return the JSON at `path`."""
        answer = self.send("GET", path)
        assert answer.status == 200, answer.text
        return json.loads(answer.body)


def make_hub(root: Path, **settings: Any) -> LocalHub:
    """Return a hub on the folder `root`."""
    root.mkdir(exist_ok=True)
    users = Users("".join(user_line(name, f"{name}-password") + "\n" for name in NAMES))
    app = create_app(root, [TOKEN], users, HubSettings(root=root, **settings))
    tokens = {name: users.make_token(name, time.time()) for name in NAMES}
    return LocalHub(app, root, {**tokens, "operator": TOKEN})
