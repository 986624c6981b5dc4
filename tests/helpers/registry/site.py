"""A registry in this process with a clock of the test's, and farmers and nodes that talk to it."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from sqlalchemy import update

from common.nodes.envelope import open_envelope, seal
from common.nodes.nodeid import node_id
from registry.app import create_app
from registry.checking.checking import Checked, check_registry
from registry.nodes.model import parse_report
from registry.nodes.nodes import Accepted, Arrived
from registry.nodes.proofs import NOTHING
from registry.settings import RegistrySettings
from registry.state.key import RegistryKey
from registry.state.opening import open_in_memory
from registry.state.tables import LOG_HEAD
from registry.views.registry import Registry, make_registry
from serving.database import Database
from tests.helpers.asgi import Answer, ask, send_body

BEGIN_S = 1_790_812_800.0  # 2026-10-01, 00:00 UTC
CAPACITY = {"cru": 4, "mru": 8 << 30, "sru": 100 << 30, "hru": 0, "ipv4u": 0}
REGISTRATION: dict[str, Any] = {"capacity": CAPACITY, "identity": "disk"}
Send = Callable[[str, str, bytes], tuple[int, Any]]
"""Sends a request (method, path, body); returns the status and the JSON of the answer."""


class Signer:
    """A key of a farmer or a node; a seed makes the same one again."""

    def __init__(self, seed: int | None = None) -> None:
        made = Ed25519PrivateKey.generate if seed is None else None
        raw = (seed or 0).to_bytes(32, "big")
        self.private = made() if made else Ed25519PrivateKey.from_private_bytes(raw)
        self.public = self.private.public_key().public_bytes_raw()
        self.text = base64.b64encode(self.public).decode()

    def seal(self, kind: str, payload: dict[str, Any]) -> bytes:
        """Return a message that this key has signed."""
        return seal(self.private.sign, self.public, kind, payload)


class Farmer(Signer):
    """The owner of a farm."""

    def message(
        self, name: str, *, farm: int | None = None, sequence: int = 1, **more: Any
    ) -> bytes:
        """Return the message that registers or changes a farm."""
        fields = {"farm": farm, "sequence": sequence, "name": name, "owner": self.text, **more}
        return self.seal("farm", fields)


class Node(Signer):
    """A node, with what it remembers between its reports."""

    def __init__(self, send: Send, clock: Callable[[], float], farm: int = 1,
                 seed: int | None = None) -> None:  # fmt: skip
        super().__init__(seed)
        self.send = send
        self.clock = clock
        self.farm = farm
        self.id = node_id(self.public)
        self.boots = 0
        self.start()

    def start(self) -> None:
        """Boot: forget everything but the key."""
        self.boots += 1
        self.boot = str(UUID(int=self.boots))
        self.sequence = 0
        self.began_s = self.clock()
        self.nonce = ""

    def payload(self, kind: str = "heartbeat", body: Any = None, **changed: Any) -> dict[str, Any]:
        """Return what the next report says."""
        if not self.nonce:
            self.nonce = self.send("GET", f"/api/v1/nodes/{self.id}/nonce", b"")[1]["nonce"]
        now = self.clock()
        return {
            "node": self.id, "farm": self.farm, "boot": self.boot, "sequence": self.sequence + 1,
            "nonce": self.nonce, "sent": now, "uptime_s": now - self.began_s, "kind": kind,
            "body": body if body is not None else {}, **changed,
        }  # fmt: skip

    def post(self, message: bytes) -> tuple[int, Any]:
        """Send a message to where this node's reports go."""
        return self.send("POST", f"/api/v1/nodes/{self.id}/reports", message)

    def report(self, kind: str = "heartbeat", body: Any = None, **changed: Any) -> tuple[int, Any]:
        """Send the next report; remember it if it was accepted."""
        status, said = self.post(self.seal("report", self.payload(kind, body, **changed)))
        if status == 200:
            self.sequence += 1
            self.nonce = said["nonce"]
        return status, said

    def register(self, **more: Any) -> tuple[int, Any]:
        """Send a registration."""
        return self.report("register", {**REGISTRATION, **more})


@dataclass
class Site:
    """A registry, its application, and the time."""

    registry: Registry
    app: FastAPI
    now_s: float = BEGIN_S
    farmer: Farmer = field(default_factory=lambda: Farmer(1))
    is_running: bool = True  # and can write
    alive_s: float = 0.0

    def clock(self) -> float:
        """Return the time."""
        return self.now_s

    def mark_alive(self) -> None:
        """Mark what a server that runs has marked by now: there was no pause."""
        if self.is_running and self.alive_s < self.now_s:
            self.alive_s = self.now_s
            later = update(LOG_HEAD).where(LOG_HEAD.c.alive_s < self.now_s)
            with self.registry.database.writing() as connection:
                connection.execute(later.values(alive_s=self.now_s))

    def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
        """Send a request."""
        self.mark_alive()
        if method == "GET":
            answer = ask(self.app, path, **headers)
        else:
            answer = send_body(self.app, method, path, body, headers)
        return answer.status, parse(answer)

    def send_directly(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """Take a node's report, or give its nonce, without HTTP: for thousands of reports."""
        self.mark_alive()
        nodes, name = self.registry.nodes, path.split("/")[4]
        if method == "GET":
            return 200, {"nonce": nodes.nonce(name, nodes.standing(name))}
        envelope = open_envelope(body, "report")
        arrived = Arrived(envelope, *parse_report(envelope.payload), NOTHING)
        done: Accepted = self.registry.scribe.write_now(nodes.accept, arrived)
        return 200, {"nonce": done.nonce, "doubt": done.doubt}

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        status, said = self.send("GET", path)
        assert status == 200, said
        return said

    def add_farm(self, name: str = "one", **more: Any) -> int:
        """Register a farm; return its number."""
        status, said = self.send("POST", "/api/v1/farms", self.farmer.message(name, **more))
        assert status == 201, said
        return int(said["farm"])

    def add_node(
        self, farm: int = 1, seed: int | None = None, *, is_quick: bool = False, **more: Any
    ) -> Node:
        """Return a node that has registered."""
        node = self.make_node(farm, seed, is_quick=is_quick)
        status, said = node.register(**more)
        assert status == 200, said
        return node

    def make_node(self, farm: int = 1, seed: int | None = None, *, is_quick: bool = False) -> Node:
        """Return a node that has just booted; a quick one reports without HTTP."""
        return Node(self.send_directly if is_quick else self.send, self.clock, farm, seed)

    def check(self) -> Checked:
        """Compute everything again from the log."""
        registry = self.registry
        return check_registry(registry.database, registry.key.secret, lambda *_: None)


def make_site(*, database: Database | None = None, **settings: Any) -> Site:
    """Return a registry with limits that tests do not meet, unless they ask for them."""
    names = ("node_reports_per_minute", "refusals_per_minute", "new_nodes_per_minute")
    relaxed = dict.fromkeys((*names, "farm_messages_per_day"), 0)
    chosen = RegistrySettings(state=Path("/nonexistent"), **{**relaxed, **settings})
    key = RegistryKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    times: list[Site] = []
    registry = make_registry(
        chosen,
        lambda: database or open_in_memory(),
        key,
        lambda: times[0].now_s if times else BEGIN_S,
    )
    site = Site(registry, create_app(registry))
    times.append(site)
    return site


def parse(answer: Answer) -> Any:
    """Return the JSON of an answer, or its text."""
    is_json = "json" in answer.headers.get("content-type", "")
    return json.loads(answer.body) if is_json else answer.text
