"""A hub with accounts in this process, with users and tokens, and requests to it."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from flist.hub.accounts.passwords import Passwords
from flist.hub.app import create_hub_app
from flist.hub.library.hub import Hub, open_hub
from flist.hub.library.hub import make_hub as hub_of
from flist.hub.settings import HubSettings
from flist.hub.state.tables import METADATA, TOKENS
from flist.hub.state.viewer import PUBLISH, READ, SCOPES, UPLOAD, Viewer
from flist.model import Route
from flist.pack.pack import pack
from flist.store.base import open_store
from serving.database import create_tables, insert_new, open_database
from serving.tokens import digest_of
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.desk import Cheap

NAMES = ("alice", "bob")
OPERATOR = "operator"
TOKEN = f"zos_{0:08x}_{'A' * 43}"
"""The administrator's token in a folder of `make_root`."""
REPOSITORIES = ("me", "a")


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


def make_hub(root: Path, *, is_in_memory: bool = False, **settings: Any) -> LocalHub:
    """Return a hub in the folder `root`; its database may be in memory."""
    root.mkdir(exist_ok=True)
    Passwords.time_cost, Passwords.memory_kib = Cheap.time_cost, Cheap.memory_kib
    hub = open_in_memory(root) if is_in_memory else open_hub(HubSettings(root=root, **settings))
    return LocalHub(create_hub_app(hub), hub, root, add_users(hub))


def open_in_memory(root: Path) -> Hub:
    """Return a hub whose database is in memory: quicker where many threads write."""
    settings = HubSettings(root=root)
    database = open_database("sqlite://")
    create_tables(database, METADATA)
    return hub_of(settings, database, open_store(settings.store_url))


def make_root(root: Path, **settings: Any) -> Path:
    """Make the folder of a hub for a server to serve: with users, repositories and `TOKEN`."""
    hub = make_hub(root, **settings).hub
    account = hub.accounts.find(OPERATOR)
    _, mark, secret = TOKEN.split("_")
    row = {"id": mark, "account_id": account.id, "name": "fixed", "digest": digest_of(secret),
           "scopes": " ".join(SCOPES), "is_session": False, "created_s": 0}  # fmt: skip
    with hub.database.writing() as connection:
        insert_new(connection, TOKENS, row)
    for name in REPOSITORIES:
        hub.repositories.create(hub.tokens.find_viewer(TOKEN), name)
    hub.close()
    return root


def make_flist(folder: Path, root: Path, content: str) -> bytes:
    """Return the bytes of a flist with one file, whose blocks are in the hub's folder `root`."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    (tree / "file").write_text(content)
    meta = folder / "made.fl"
    pack(tree, meta, [Route(0, 255, f"dir://{root}/blocks")], is_checksum=True, processes=1)
    return meta.read_bytes()


def fetch(url: str, **headers: str) -> bytes:
    """Return the body of a GET."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        body: bytes = answer.read()
        return body


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
