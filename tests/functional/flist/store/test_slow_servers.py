"""Silent and dripping servers: a request is given up in time, in every part of the answer."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from flist.blocks.codec import check_arrival
from flist.errors import BlockMissingError, FlistError, StoreUnavailableError
from flist.http.patience import LONGEST_S, SLOWEST_BYTES_PER_S
from flist.model import Route
from flist.store.base import Store
from flist.store.http import HttpStore
from flist.store.retry import SHORTEST_TRY_S, RetryingStore
from flist.store.routed import RoutedStore
from flist.store.zdb import ZdbStore, parse_address
from tests.helpers.flist.faults import faulty_server, file_hashes, make_many_files, pack_into
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.servers import Talk, serve_talk
from tests.helpers.flist.stores import BLOCK, DATA
from tests.helpers.waiting import wait_until

LIMIT_S = 0.5
SLACK_S = 10.0
"""What a busy machine may add; without the limit, a request takes `LONGEST_S` or for ever."""
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(DATA)

Words = Callable[[Talk], None]


def silence(talk: Talk) -> None:
    """Send nothing."""
    talk.ended.wait()


def http_words(begin: bytes, piece: bytes) -> Words:
    """Return a server that answers with `begin`, then drips."""

    def answer(talk: Talk) -> None:
        while talk.hear():
            talk.say(begin)
            talk.drip(piece)

    return answer


def half(talk: Talk) -> None:
    """Send half of an answer, then nothing."""
    talk.hear()
    talk.say(HEAD + b"\r\n" + DATA[:100])
    silence(talk)


def endless(talk: Talk) -> None:
    """Send interim answers for ever, as fast as possible."""
    talk.hear()
    talk.drip(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, 0)


HTTP = {
    "silence": silence,
    "status": http_words(b"", b"H"),
    "header": http_words(HEAD + b"X: ", b"x"),
    "headers": http_words(HEAD, b"X: y\r\n"),
    "body": http_words(HEAD + b"\r\n", b"x"),
    "chunks": http_words(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "chunk's size": http_words(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "half of the body": half,
    "endless": endless,
}


def check_given_up(store: Store, least_s: float = LIMIT_S) -> None:
    """Request a block, which must fail in time."""
    started = time.monotonic()
    with pytest.raises(StoreUnavailableError):
        store.get(BLOCK.id)
    assert least_s <= time.monotonic() - started < LIMIT_S + SLACK_S


@pytest.mark.parametrize("kind", HTTP)
def test_http(kind: str) -> None:
    with (
        serve_talk(HTTP[kind]) as port,
        closing(HttpStore(f"http://127.0.0.1:{port}", LIMIT_S)) as store,
    ):
        check_given_up(store, 0.0 if kind == "endless" else LIMIT_S)


@pytest.mark.parametrize("kind", ["silence", "status", "header", "headers", "body"])
def test_pipelined_http(kind: str) -> None:
    with (
        serve_talk(HTTP[kind]) as port,
        closing(HttpStore(f"http://127.0.0.1:{port}", LIMIT_S)) as store,
        store.announce([BLOCK.id]),
    ):
        check_given_up(store)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x3f\x00"], ids=["silence", "drips"])
def test_a_tls_handshake(said: bytes) -> None:
    def answer(talk: Talk) -> None:
        talk.hear()
        talk.say(said)
        if said:
            talk.drip(b"\x02")
        silence(talk)

    with (
        serve_talk(answer) as port,
        closing(HttpStore(f"https://127.0.0.1:{port}", LIMIT_S)) as store,
    ):
        check_given_up(store)


def test_http_that_becomes_silent() -> None:
    """The kept connection and its replacement share one time limit."""

    def answer(talk: Talk) -> None:
        talk.hear()
        talk.say(HEAD + b"\r\n" + DATA)
        silence(talk)

    with (
        serve_talk(answer) as port,
        closing(HttpStore(f"http://127.0.0.1:{port}")) as store,
    ):
        assert store.get(BLOCK.id) == DATA
        store.client.timeout_s = LIMIT_S
        check_given_up(store)
        assert not store.client.origin.idle
        store.client.timeout_s = LONGEST_S
        assert store.get(BLOCK.id) == DATA


def test_http_that_is_slow_but_steady() -> None:
    """Bytes that arrive in time give all of the time back."""
    pieces, piece, limit_s = 40, bytes(SLOWEST_BYTES_PER_S), 3.5

    def answer(talk: Talk) -> None:
        talk.hear()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * len(piece)))
        for _ in range(pieces):
            talk.ended.wait(0.1)
            talk.say(piece)

    with (
        serve_talk(answer) as port,
        closing(HttpStore(f"http://127.0.0.1:{port}", limit_s)) as store,
    ):
        assert store.get(BLOCK.id) == piece * pieces


def zdb_words(answer: Words) -> Words:
    """Return a server that accepts a login, then answers like `answer`."""

    def talk_on(talk: Talk) -> None:
        talk.hear()
        talk.say(b"+OK\r\n")
        talk.hear()
        answer(talk)

    return talk_on


def dripping_block(talk: Talk) -> None:
    """Announce a block, then drip."""
    talk.say(b"$500000\r\n")
    talk.drip(b"x")


ZDB: dict[str, Words] = {
    "silence at login": silence,
    "silence": zdb_words(silence),
    "drips at login": lambda talk: talk.drip(b"x"),
    "drips a line": zdb_words(lambda talk: talk.drip(b"+")),
    "drips a length": zdb_words(lambda talk: talk.drip(b"$")),
    "drips a block": zdb_words(dripping_block),
}


def open_zdb(port: int, timeout_s: float) -> ZdbStore:
    """Return a store."""
    return ZdbStore(parse_address(f"zdb://127.0.0.1:{port}/ns"), "zdb://test", timeout_s)


@pytest.mark.parametrize("kind", ZDB)
def test_zdb(kind: str) -> None:
    with serve_talk(ZDB[kind]) as port, closing(open_zdb(port, LIMIT_S)) as store:
        check_given_up(store)
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            store.put(BLOCK.id, DATA)
        assert time.monotonic() - started < LIMIT_S + SLACK_S


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"$5\r\nwrong\r\n", FlistError),
        (b"$%d\r\n%b" % (len(DATA), DATA[:100]), StoreUnavailableError),
        (b"$%d\r\n%b\r\n" % (len(DATA), bytes(len(DATA))), FlistError),
        (b"$-1\r\n", BlockMissingError),
        (b"$0\r\n\r\n", BlockMissingError),
        (b":1\r\n", BlockMissingError),
        (b"$-7\r\n", StoreUnavailableError),
        (b"$999999999999\r\n", StoreUnavailableError),
        (b"$many\r\n", StoreUnavailableError),
        (b"*1\r\n$1\r\nx\r\n", StoreUnavailableError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", StoreUnavailableError),
        (b"x" * 100_000, StoreUnavailableError),
        (b"\r\n", StoreUnavailableError),
        (b"", StoreUnavailableError),
        (b"-ERR \x1b[2J\xff\r\n", FlistError),
    ],
)
def test_invalid_answers_of_zdb(said: bytes, error: type[FlistError]) -> None:
    with serve_talk(zdb_words(lambda talk: talk.say(said))) as port:
        routed = RoutedStore([(Route(0, 255, "x"), open_zdb(port, LONGEST_S))], check_arrival)
        with closing(routed) as store, pytest.raises(error):
            store.get(BLOCK.id)


def test_a_mirror_that_hangs_delays_one_read(tmp_path: Path) -> None:
    """The order of the mirrors and the number of reads make no difference."""
    heard = []

    def hang(talk: Talk) -> None:
        heard.append(talk.hear())
        silence(talk)

    with serve_talk(hang) as port, faulty_server(tmp_path) as good:
        path = tmp_path / BLOCK.id.hex()[:2] / BLOCK.id.hex()
        path.parent.mkdir()
        path.write_bytes(DATA)
        stores = [HttpStore(f"http://127.0.0.1:{port}"), HttpStore(good.url)]
        routes: list[tuple[Route, Store]] = [(Route(0, 255, "x"), store) for store in stores]
        with closing(RetryingStore(RoutedStore(routes, check_arrival), 60)) as store:
            for _ in range(8):
                assert store.get(BLOCK.id) == DATA
            assert len(heard) <= 1


def test_an_unpack_with_a_mirror_that_hangs(tmp_path: Path) -> None:
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 10))
    words = ["-m", str(meta), "-c", str(tmp_path / "cache")]
    with serve_talk(silence) as port, faulty_server(tmp_path / "blocks") as good:
        words += ["--store", good.url, "--store", f"http://127.0.0.1:{port}"]
        started = time.monotonic()
        rfs("unpack", *words, tmp_path / "out")
        assert time.monotonic() - started < LONGEST_S
    assert file_hashes(tmp_path / "out") == file_hashes(tmp_path / "tree")


@pytest.mark.parametrize("wait", ["0", "1"])
def test_a_read_of_a_mount_whose_store_hangs_fails_within_the_limit(
    tmp_path: Path, wait: str
) -> None:
    """Blocks that are already here can still be read."""
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 3, 200_000))
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "--cache", tmp_path / "cache", "--wait", wait)
        with mounted(meta, tmp_path / "m", *words) as mount:
            files = sorted(path for path in mount.path.glob("*/*") if path.is_file())
            content = wait_until(files[0].read_bytes)
            server.break_with("stall")
            started = time.monotonic()
            with pytest.raises(OSError, match="Input/output error"):
                (mount.path / "large").read_bytes()
            # The kernel tries once more, with a smaller read.
            assert time.monotonic() - started < 2 * SHORTEST_TRY_S + 3 * SLACK_S
            assert files[0].read_bytes() == content
