"""Fetching a flist from a hub over real HTTP: signed, altered, missing, too large, stalled."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.format.signing.keys import generate_key
from flist.hub.app import create_app
from node import http
from node.flists import fetch
from node.flists.fetch import Signed, fetch_flist
from node.flists.model import WORKLOAD, Wanted
from node.model import NodeError
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.node.hub import make_signed_hub, read_keys
from tests.helpers.proxy import serve_proxy

NAME = "tf-zos/development"
WANTED = Wanted(WORKLOAD, NAME)
LIMIT = 1 << 20
CONTENT = b"any bytes will do: the signature is checked before any parsing" * 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a hub's folder with one signed flist."""
    return make_signed_hub(tmp_path, NAME, CONTENT)


@pytest.fixture
def url(root: Path) -> Iterator[str]:
    """Serve `root`; yield the hub's URL."""
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(root), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def keys(root: Path) -> list[bytes]:
    """Return the public key that signed the flist in `root`."""
    return read_keys(root)


def test_a_signed_flist_is_fetched(url: str, keys: list[bytes], tmp_path: Path) -> None:
    assert fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT)).size == len(CONTENT)
    assert (tmp_path / "got").read_bytes() == CONTENT


def test_a_flist_comes_through_a_proxy(url: str, keys: list[bytes], tmp_path: Path) -> None:
    with serve_proxy() as (proxy, asked):
        assert fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT), proxy).size == len(
            CONTENT
        )
    assert asked == [f"{url}/{NAME}.fl.sig", f"{url}/{NAME}.fl"]
    with pytest.raises(NodeError, match="the proxy refuses, or does not answer") as caught:
        fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT), proxy)
    assert caught.value.code == "ZB42"


@pytest.mark.parametrize("where", [0, len(CONTENT) // 2, len(CONTENT) - 1])
def test_one_flipped_bit_is_refused(
    where: int, url: str, root: Path, keys: list[bytes], tmp_path: Path
) -> None:
    data = bytearray(CONTENT)
    data[where] ^= 1
    (root / "flists" / f"{NAME}.fl").write_bytes(data)
    (tmp_path / "got").write_bytes(b"before")
    with pytest.raises(NodeError, match=f"flist {NAME} refused"):
        fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT))
    assert (tmp_path / "got").read_bytes() == b"before"
    assert not list(tmp_path.glob(".got*"))


def test_another_channels_flist_is_refused(
    url: str, root: Path, keys: list[bytes], tmp_path: Path
) -> None:
    """A hub may serve the development flist, with its valid signature, as production's."""
    folder = root / "flists" / "tf-zos"
    for suffix in (".fl", ".fl.sig"):
        (folder / f"production{suffix}").write_bytes((folder / f"development{suffix}").read_bytes())
    with pytest.raises(NodeError, match="flist tf-zos/production refused"):
        fetch_flist(
            url, Wanted(WORKLOAD, "tf-zos/production"), tmp_path / "got", Signed(keys, LIMIT)
        )


def test_a_strangers_signature_is_refused(url: str, tmp_path: Path) -> None:
    stranger = generate_key(tmp_path / "stranger").public_key().public_bytes_raw()
    for trusted in ([stranger], []):
        with pytest.raises(NodeError, match="refused"):
            fetch_flist(url, WANTED, tmp_path / "got", Signed(trusted, LIMIT))


def test_a_missing_flist(url: str, keys: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"testing\.fl\.sig: the hub answered 404"):
        fetch_flist(url, Wanted(WORKLOAD, "tf-zos/testing"), tmp_path / "got", Signed(keys, LIMIT))


def test_a_flist_above_the_limit(url: str, keys: list[bytes], tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="larger than"):
        fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, len(CONTENT) - 1))
    assert not (tmp_path / "got").exists()


def test_a_hub_that_is_down(keys: list[bytes], tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound, so no other process can listen on it
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(NodeError, match="the hub does not answer"):
            fetch_flist(f"http://127.0.0.1:{port}", WANTED, tmp_path / "got", Signed(keys, LIMIT))


@contextlib.contextmanager
def silent_hub(said: bytes) -> Iterator[str]:
    """Run a hub that accepts connections and sends `said`, then nothing more; yield its URL."""
    open_channels = []

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                channel, _ = listener.accept()
                open_channels.append(channel)
                channel.sendall(said)

    with open_listener("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=accept, args=(listener,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for channel in open_channels:
                channel.close()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nname"])
def test_a_hub_that_stalls(
    said: bytes, keys: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "READ_S", 0.3)
    began = time.monotonic()
    with silent_hub(said) as url, pytest.raises(NodeError, match="cannot fetch"):
        fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT))
    assert time.monotonic() - began < 10
    assert not (tmp_path / "got").exists()


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("first", "then", "error"),
    [
        (HEAD + b"Content-Length: 4000\r\n\r\n", b"n", "not done in 1 s"),
        (HEAD + b"X: ", b"n", "does not answer"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", "does not answer"),
    ],
)
def test_a_hub_that_drips(
    first: bytes,
    then: bytes,
    error: str,
    keys: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Single bytes keep every read below its time-out, but the whole fetch has a deadline."""
    monkeypatch.setattr(fetch, "FETCH_DEADLINE_S", 1.0)
    monkeypatch.setattr(http, "HEAD_S", 1.0)

    def drip(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            channel, _ = listener.accept()
            with channel:
                channel.sendall(first)
                for _ in range(200):
                    channel.sendall(then)
                    time.sleep(0.05)

    with open_listener("127.0.0.1", 0) as listener:
        threading.Thread(target=drip, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(NodeError, match=error):
            fetch_flist(url, WANTED, tmp_path / "got", Signed(keys, LIMIT))
        assert time.monotonic() - begin < 5
