"""A node's API in a process of its own, with small daemons on real sockets, and its callers."""

import base64
import contextlib
import datetime
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.errors import ZosError
from common.ipc.client import call
from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer, Server
from core.api.node import DOOR_S
from core.certificates.farmkey import public_of, show_public
from core.certificates.issue import issue
from core.certificates.names import Holder, Role
from core.identity.certificates import make_authority, make_leaf
from core.identity.model import Identity
from core.remote.client import NodeClient, Target, node_context
from core.sandbox.confine import UNCONFINED
from tests.helpers.checkout import TOP
from tests.helpers.core.updates import look_answer, update_row
from tests.helpers.waiting import wait_until

FARM = 4711
SECRET = "hunter2-of-the-farm"
WAIT_S = 60
PROGRAM = """
import sys
from pathlib import Path
from core import daemon
from core.api import node
from core.api.daemon import PROFILE, begin

top = Path(sys.argv[1])
node.DOOR_S = float(sys.argv[2])
daemon.socket_of = lambda name: top / name / "socket"
places = {f"{name}_path": top / name / "socket" for name in ("door", "capacity", "identity")}
daemon.run_daemon(PROFILE, lambda: begin(top / "api", top / "cmdline", 0, **places))
"""
SERVICES = [
    {"name": "redis", "state": "Running", "pid": 7, "role": "workload", "uptime_s": 3.5},
    {"name": "bringup", "state": "Running", "pid": 3, "role": "node", "uptime_s": 9.0},
]
SIZES = {"cru": 2, "mru": 2 << 30, "sru": 8 << 30, "hru": 0, "ipv4u": 0}
STATUS = {
    "release": "0.1.0", "boot_version": "0.1.0", "set": [], "stage": "ready", "since": 1.0,
    "hubs": [{"url": "http://hub.example", "ms": 3.0}], "network": {"state": "bound"},
    "cache": {"place": None, "size": 0, "used": 0}, "problems": [], "generation": 1,
    "update": update_row(), "farm": FARM, "run_mode": "dev", "parameters_ignored": [],
}  # fmt: skip
FACTS = {
    "capacity": SIZES, "used": SIZES, "free": SIZES, "disks": [], "interfaces": [], "dmi": {},
    "serial": "", "hypervisor": "", "virtualized": False, "secure_boot": False, "gpus": [],
}  # fmt: skip


@dataclass
class FakeNode:
    """The daemons that the API asks; `asked` is what they were asked to change."""

    identity: Identity = field(default_factory=lambda: Identity(os.urandom(32), "disk", ""))
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    look_s: float = 0.0  # how long a look at the channel takes

    def door(self) -> dict[str, Method]:
        changes = (
            "services.restart",
            "update.apply",
            "update.rollback",
            "power.reboot",
            "power.off",
        )
        return {
            "status": Method(lambda _: STATUS),
            "services.list": Method(lambda _: SERVICES),
            "services.logs": Method(self.logs),
            "update.look": Method(self.look),
            **{name: Method(self.changer(name)) for name in changes},
        }

    def changer(self, method: str) -> Any:
        def change(_: Peer, **params: Any) -> dict[str, Any]:
            if params.get("name") == "missing":
                raise IpcError("there is no service 'missing'", code="unknown")
            if params.get("release") == "other":
                raise ZosError("the channel holds another release", hint="look again")
            self.asked.append((method, params))
            return {}

        return change

    def look(self, _: Peer) -> dict[str, Any]:
        time.sleep(self.look_s)
        return look_answer()

    def logs(self, _: Peer, name: str | None, follow: bool, lines: int) -> Iterator[Any]:
        if name == "missing":
            raise IpcError("there is no service 'missing'", code="unknown")
        try:
            for number in range(lines):
                yield {"time": None, "name": name or "redis", "text": f"line {number} {SECRET}"}
            while follow:
                time.sleep(0.02)
                yield {"time": 1.0, "name": "", "text": ""}
        finally:
            self.closed.append(str(name))

    def daemons(self) -> dict[str, dict[str, Method]]:
        identity = self.identity
        describe = {
            "node": identity.node, "public": base64.b64encode(identity.public).decode(),
            "address": identity.address, "kind": identity.kind, "why": identity.why,
        }  # fmt: skip
        return {
            "door": self.door(),
            "identity": {
                "describe": Method(lambda _: describe),
                "authority": Method(lambda _: make_authority(identity)),
                "certificate": Method(lambda _, public, names: make_leaf(identity, public, names)),
            },
            "capacity": {
                "facts": Method(lambda _: FACTS),
                "load": Method(lambda _: {"load": [0.1, 0.2, 0.3]}),
            },
        }


@dataclass
class Farm:
    """A farm's key, and the certificates that a test has it make."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def certificate(self, role: Role, farm: int = FARM, **how: Any) -> Path:
        now = how.get("now", datetime.datetime.now(datetime.UTC))
        holder = Holder(farm, role, how.get("name", "somebody"))
        key, certificate = issue(self.key, holder, how.get("days", 1), now)
        path = self.folder / f"{os.urandom(4).hex()}.pem"
        path.write_text(key + certificate)
        return path


@dataclass
class Api:
    """The API of a fake node, as it runs."""

    node: FakeNode
    farm: Farm
    folder: Path
    process: "subprocess.Popen[str]"

    @property
    def socket(self) -> Path:
        return self.folder / "api" / "socket"

    def about(self) -> Any:
        return call(self.socket, "status")

    @property
    def target(self) -> Target:
        return Target(self.node.identity.node, "127.0.0.1", self.about()["port"])

    def client(self, role: Role = Role.FARMER, **how: Any) -> NodeClient:
        return NodeClient(self.target, self.farm.certificate(role, **how))

    def connect(self, certificate: Path | None = None) -> ssl.SSLSocket:
        own = certificate or self.farm.certificate(Role.FARMER)
        target = self.target
        plain = socket.create_connection((target.host, target.port), WAIT_S)
        return node_context(target, own).wrap_socket(plain)

    def exchange(self, data: bytes, certificate: Path | None = None) -> bytes:
        """Send bytes; return all that comes until the end."""
        with self.connect(certificate) as tls:
            with contextlib.suppress(OSError):
                tls.sendall(data)
            return read_all(tls)

    def status_of(self, data: bytes, certificate: Path | None = None) -> int:
        """Return the status of the one answer to `data`."""
        answer = self.exchange(data, certificate)
        assert answer.count(b"HTTP/1.1 ") == 1, answer
        return int(answer.split()[1])

    def audit(self) -> list[dict[str, Any]]:
        return list(self.client().lines("/audit"))


def read_all(tls: ssl.SSLSocket) -> bytes:
    """Return what comes until the other side ends."""
    parts = []
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while data := tls.recv(1 << 16):
            parts.append(data)
    return b"".join(parts)


def has_settled(api: Api) -> bool:
    """Return whether the API serves, and knows whether it has the farm's key."""
    assert api.process.poll() is None, "the API ended; its output says why"
    try:
        about = api.about()
    except ZosError:
        return False
    return bool(about["farm_key"] or about["problem"])


@contextlib.contextmanager
def running_api(top: Path, words: str | None = None, *, door_s: float = DOOR_S) -> Iterator[Api]:
    """Run the API of a node whose command line has `words`, by default the farm and its key."""
    node, farm = FakeNode(), Farm(top)
    if words is None:
        words = f"farmer_id={FARM} farm.key={show_public(public_of(farm.key))} secret={SECRET}"
    (top / "cmdline").write_text(words)
    (top / "api").mkdir()
    with contextlib.ExitStack() as stack:
        for name, methods in node.daemons().items():
            (top / name).mkdir()
            stack.enter_context(Server(top / name / "socket", methods))
        environment = os.environ | {UNCONFINED: "1"}
        command = [sys.executable, "-c", PROGRAM, str(top), str(door_s)]
        process = subprocess.Popen(command, cwd=TOP, env=environment, text=True)
        try:
            api = Api(node, farm, top, process)
            wait_until(lambda: has_settled(api), "the API serves", WAIT_S)
            yield api
        finally:
            process.terminate()
            assert process.wait(WAIT_S) == 0
