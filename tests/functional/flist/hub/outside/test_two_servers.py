"""Two servers on one PostgreSQL and one S3 store, behind nginx, killed in turn under load.

A client that tries again loses nothing, reads what it has sent, and finds nothing half there.
"""

import contextlib
import hashlib
import http.client
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flist.hub.library.checking import check_hub
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.server.names import name_block
from tests.helpers.flist.hub import TOKEN, make_flist, make_root
from tests.helpers.flist.mount import Hub, free_port, serving
from tests.helpers.flist.s3_server import s3_server
from tests.helpers.flist.servers import run_nginx
from tests.helpers.services.postgres import run_postgres
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(1800)
WITHIN_S = 120
TRIES = 8
KNOWN_FLISTS = 4
QUIET = ("--log-level", "error")
NGINX = """;
  client_max_body_size 0; client_body_buffer_size 1m; proxy_max_temp_file_size 0;
  location / {{
    proxy_pass http://hub; proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_connect_timeout 2s; proxy_next_upstream error timeout http_502 http_503 non_idempotent;
    proxy_set_header Host $http_host; proxy_request_buffering on;
  }}
}}
upstream hub {{
  server 127.0.0.1:{one} max_fails=1 fail_timeout=1s;
  server 127.0.0.1:{two} max_fails=1 fail_timeout=1s;
"""


def ask(url: str, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    head = {"Authorization": f"Bearer {TOKEN}"} if method != "GET" else {}
    talk = http.client.HTTPConnection(urlsplit(url).netloc, timeout=WITHIN_S)
    with contextlib.closing(talk):
        talk.request(method, path, body, head)
        answer = talk.getresponse()
        return answer.status, answer.read()


@dataclass
class Load:
    """What clients send and read until they are told to end, and what went wrong."""

    url: str
    flists: list[bytes]
    sent: dict[str, bytes] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send a request until it is answered well; that it never is, is a fault."""
        for number in range(TRIES):
            try:
                status, data = ask(self.url, method, path, body)
            except (OSError, http.client.HTTPException) as error:
                status, data = 0, str(error).encode()
            if status in (200, 201):
                self.counts[method] = self.counts.get(method, 0) + 1
                return data
            self.ended.wait(0.2 * 2**number)
        raise AssertionError(f"{method} {path}: {status} {data[:200]!r}")

    def upload(self) -> None:
        """Upload a block."""
        data = random.randbytes(random.randrange(1, 100_000))
        self.send("POST", "/api/v1/block", data)
        self.sent[f"/blocks/{name_block(data)}"] = data

    def publish(self) -> None:
        """Publish a flist, under a name that has one or a new name."""
        name = f"/me/{random.randrange(1000)}.fl"
        data = random.choice(self.flists)
        self.send("PUT", name, data)
        self.sent[f"/objects/{hashlib.sha256(data).hexdigest()}"] = data
        self.sent[name] = data

    def read(self) -> None:
        """Read what was sent."""
        path = random.choice(list(self.sent) or ["/api/flist"])
        data = self.send("GET", path)
        if path.startswith(("/blocks", "/objects")) and data != self.sent[path]:
            self.faults.append(f"{path} is not what was sent")

    def repeat(self, step: Callable[[], None]) -> None:
        """Repeat a step until the load ends."""
        while not self.ended.is_set():
            try:
                step()
            except AssertionError as error:
                self.faults.append(str(error))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Send and read during the `with` block."""
        steps = [self.upload, self.publish, self.read, self.read]
        threads = [threading.Thread(target=self.repeat, args=(step,)) for step in steps]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join(WITHIN_S)

    def wait_for_more(self, what: str) -> None:
        """Return when each kind of request was answered some times more."""
        before = dict(self.counts)
        wait_until(
            lambda: all(self.counts.get(key, 0) >= before.get(key, 0) + 5
                        for key in ("GET", "POST", "PUT")) or self.faults,
            what, WITHIN_S,
        )  # fmt: skip


@dataclass
class Servers:
    """Two servers at fixed ports."""

    roots: list[Path]
    words: tuple[str, ...]
    ports: list[int] = field(default_factory=lambda: [free_port(), free_port()])
    held: list[ExitStack] = field(default_factory=lambda: [ExitStack(), ExitStack()])
    hubs: dict[int, Hub] = field(default_factory=dict)

    def start(self, number: int) -> None:
        """Start a server."""
        served = serving(self.roots[number], f"127.0.0.1:{self.ports[number]}", *self.words)
        self.hubs[number] = self.held[number].enter_context(served)

    def kill(self, number: int) -> None:
        """Kill a server, which has no time for anything."""
        self.hubs[number].process.kill()
        self.held[number].close()

    def stop(self) -> None:
        """Stop the servers."""
        for held in self.held:
            held.close()


def prepare(folder: Path, database: str, store: str) -> tuple[list[Path], list[bytes], list[bytes]]:
    """Make the hub, a folder for each server, and flists with their blocks, which it has not."""
    roots = [make_root(folder / "one", database=database, store=store), folder / "two"]
    roots[1].mkdir()
    flists = [make_flist(folder, folder / "made", f"content {n}") for n in range(KNOWN_FLISTS)]
    return roots, flists, [path.read_bytes() for path in (folder / "made").rglob("blocks/*/*")]


@pytest.mark.parametrize("kills", [2, pytest.param(16, marks=pytest.mark.matrix)])
def test_servers_that_are_killed_in_turn_lose_nothing(tmp_path: Path, kills: int) -> None:
    (tmp_path / "swift").mkdir()
    with run_postgres() as postgres, s3_server(tmp_path / "swift") as s3, ExitStack() as held:
        s3.make_bucket("hub")
        database, store = postgres.make_database(), s3.url("hub")
        roots, flists, blocks = prepare(tmp_path, database, store)
        servers = Servers(roots, ("--database", database, "--store", store, *QUIET))
        held.callback(servers.stop)
        for number in range(2):
            servers.start(number)
        one, two = servers.ports
        port = held.enter_context(run_nginx(tmp_path / "nginx", NGINX.format(one=one, two=two)))
        load = Load(f"http://127.0.0.1:{port}", flists)
        for block in blocks:
            load.send("POST", "/api/v1/block", block)
        began = time.monotonic()
        with load.running():
            load.wait_for_more("both servers")
            for kill in range(kills):
                servers.kill(kill % 2)
                load.wait_for_more("one server")
                servers.start(kill % 2)
                load.wait_for_more("the server that came back")
        print(f"{kills} kills in {time.monotonic() - began:.0f} s: {load.counts}")
        assert not load.faults
        for url in (servers.hubs[0].url, servers.hubs[1].url):
            load.url = url
            for path, data in load.sent.items():
                assert load.send("GET", path) == data, f"{path} at {url}"
        servers.stop()
        hub = open_hub(HubSettings(root=roots[0], database=database, store=store))
        assert check_hub(hub).problems == []
        hub.close()
