"""What many or impolite clients of a hub can and cannot do."""

import json
import socket
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flist.blocks.codec import digest
from flist.hub.accounts.passwords import Passwords
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from tests.helpers.flist.hub import TOKEN, fetch, make_flist, make_root
from tests.helpers.flist.mount import Hub, serving
from tests.helpers.waiting import wait_until

PASSWORD = "alice-password"
NAME = digest(b"block").hex()
SIGN_INS = 300
READ_S = 1.0


class Real(Passwords):
    """The costs that a hub has; other tests have cheaper ones."""

    time_cost, memory_kib = 2, 19 << 10


@pytest.fixture(name="root", scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a hub's folder with a block and a flist that everybody may read."""
    folder = tmp_path_factory.mktemp("limits")
    root = make_root(folder / "hub")
    data = make_flist(folder, root, "content")
    hub = open_hub(HubSettings(root=root))
    hub.accounts.passwords = Real()
    hub.accounts.set_password("alice", PASSWORD)
    operator = hub.tokens.find_viewer(TOKEN)
    hub.blocks.put(operator, digest(b"block"), b"block", is_open=True)
    hub.flists.publish(operator, "me", "tree.fl", hub.contents.receive([data]))
    hub.close()
    return root


def sign_in(hub: Hub, password: str) -> int:
    """Return the status of one sign-in."""
    body = json.dumps({"username": "alice", "password": password}).encode()
    try:
        request = urllib.request.Request(
            f"{hub.url}/api/v1/signin", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=240) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def read_block(hub: Hub) -> float:
    """Return how long a block takes, in seconds."""
    began = time.monotonic()
    with urllib.request.urlopen(f"{hub.url}/blocks/{NAME[:2]}/{NAME}", timeout=60) as answer:
        assert answer.read() == b"block"
    return time.monotonic() - began


def read_flist(hub: Hub) -> float:
    """Return how long a flist takes, in seconds."""
    began = time.monotonic()
    assert fetch(f"{hub.url}/me/tree.fl").startswith(b"SQLite format 3")
    return time.monotonic() - began


def read_while(hub: Hub, pool: ThreadPoolExecutor) -> Iterator[float]:
    """Yield the time of reads while many sign-ins are being checked."""
    running = [pool.submit(sign_in, hub, "wrong password") for _ in range(SIGN_INS)]
    wait_until(lambda: any(future.done() for future in running), "the first sign-in")
    while not all(future.done() for future in running):
        yield read_block(hub)
        yield read_flist(hub)
    assert {future.result() for future in running} == {401}


def test_many_sign_ins_do_not_hold_up_reads(root: Path) -> None:
    words = ["--sign-in-per-minute", "0", "--log-level", "error"]
    with serving(root, "127.0.0.1:0", *words) as hub, ThreadPoolExecutor(SIGN_INS) as pool:
        times = list(read_while(hub, pool))
        assert len(times) > 10
        last = statistics.quantiles(times, n=100)[-1]
        print(f"{len(times)} reads during {SIGN_INS} sign-ins: 99 of 100 within {last:.3f} s")
        assert statistics.median(times) < READ_S


def test_sign_ins_of_one_address_are_limited(root: Path) -> None:
    words = ["--sign-in-per-minute", "0.1", "--sign-in-burst", "3"]
    with serving(root, "127.0.0.1:0", *words) as hub:
        assert [sign_in(hub, "wrong password") for _ in range(3)] == [401, 401, 401]
        assert sign_in(hub, PASSWORD) == 429
        read_block(hub)


def test_a_flist_that_breaks_off_leaves_nothing(root: Path) -> None:
    folder = root / "tmp"
    with serving(root) as hub:
        place = urlsplit(hub.url)
        with socket.create_connection((place.hostname, place.port or 0), timeout=60) as sock:
            head = f"PUT /me/big.fl HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            sock.sendall(head.encode() + b"Content-Length: 100000000\r\n\r\n" + bytes(5_000_000))
            wait_until(lambda: list(folder.iterdir()), "the file that is being written")
        wait_until(lambda: not list(folder.iterdir()), "an empty folder")
