"""Stores against real servers: Redis, nginx, and servers that misbehave."""

import http.server
from contextlib import closing
from pathlib import Path

import pytest

from common.errors import UsageError
from flist.blocks.codec import check_arrival
from flist.errors import (
    BlockError,
    FlistError,
    StoreError,
    StoreUnavailableError,
)
from flist.model import MAX_BLOCK_BYTES
from flist.store.base import open_store
from flist.store.routed import open_routes, parse_route
from flist.store.zdb import parse_address
from tests.helpers.flist.mount import free_port, rfs
from tests.helpers.flist.servers import nginx_server, redis_server, serve_handler
from tests.helpers.flist.stores import BLOCK, DATA, check_copy, exercise
from tests.helpers.flist.trees import describe, make_small_tree


def ask(url: str) -> None:
    """Get a block from the store at `url`."""
    with closing(open_store(url)) as store:
        store.get(BLOCK.id)


def test_redis(tmp_path: Path) -> None:
    with redis_server(tmp_path) as port:
        exercise(open_store(f"redis://127.0.0.1:{port}"))
        exercise(open_store(f"zdb://127.0.0.1:{port}/3"))
        with closing(open_store(f"zdb://{tmp_path}/redis.sock")) as store:
            assert store.get(BLOCK.id) == DATA
        with pytest.raises(StoreError, match="refused"):
            ask(f"zdb://127.0.0.1:{port}/no-namespace")
    with pytest.raises(StoreUnavailableError):
        ask(f"zdb://127.0.0.1:{port}")


def test_redis_with_password(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "p@ss word") as port:
        exercise(open_store(f"zdb://default:p%40ss%20word@127.0.0.1:{port}"))
        with pytest.raises(StoreError, match="refused"):
            ask(f"zdb://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("zdb://h", ("h", 9900, "", "", "", "")),
        ("zdb://h/default", ("h", 9900, "", "", "", "")),
        ("zdb://h:1/ns", ("h", 1, "", "", "", "ns")),
        ("zdb://u:p@h:1/ns", ("h", 1, "", "u", "p", "ns")),
        ("zdb:///run/zdb.sock", ("", 0, "/run/zdb.sock", "", "", "")),
        ("redis://h", ("h", 6379, "", "", "", "")),
        ("zdb://[::1]:1", ("::1", 1, "", "", "", "")),
    ],
)
def test_zdb_urls(url: str, expected: tuple[object, ...]) -> None:
    assert tuple(parse_address(url)) == expected


@pytest.mark.parametrize(
    "url", ["zdb://", "zdb://h:99999", "s3://h", "dir://x/y", "ftp://h", "http://"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(UsageError):
        open_store(url)


def test_nginx_serves_a_dir_store(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    with nginx_server(tmp_path / "nginx", tmp_path / "blocks") as port:
        check_copy(tmp_path / "a.fl", f"http://127.0.0.1:{port}", tree, tmp_path / "copy")


def test_a_flist_through_redis(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    with redis_server(tmp_path) as port:
        rfs("pack", "-m", tmp_path / "a.fl", "-s", f"zdb://127.0.0.1:{port}", tree)
        rfs("unpack", "-m", tmp_path / "a.fl", "-c", tmp_path / "cache", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers wrongly, in the way that the path names."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_words: object) -> None:
        """Log nothing."""

    def do_GET(self) -> None:
        """Answer wrongly."""
        kind = self.path.split("/")[1]
        if kind == "closes":
            self.close_connection = True
            return
        status = {"500": 500, "503": 503, "429": 429, "403": 403, "302": 302}.get(kind, 200)
        body = {"wrong": b"x" * len(DATA), "short": DATA[:-1], "long": DATA + b"x", "empty": b"",
                "huge": bytes(2 * MAX_BLOCK_BYTES)}.get(kind, DATA)  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Length", str(len(DATA) if kind == "truncates" else len(body)))
        self.end_headers()
        if kind == "truncates":
            self.wfile.write(DATA[:100])
            self.close_connection = True
            return
        self.wfile.write(body)


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("wrong", BlockError), ("short", BlockError), ("long", BlockError), ("empty", BlockError),
        ("huge", BlockError), ("truncates", StoreUnavailableError), ("500", StoreUnavailableError),
        ("503", StoreUnavailableError), ("429", StoreUnavailableError), ("403", StoreError),
        ("302", StoreError), ("closes", StoreUnavailableError),
    ],
)  # fmt: skip
def test_wrong_answers_are_refused(kind: str, error: type[FlistError]) -> None:
    with serve_handler(Liar) as port:
        store = open_routes([parse_route(f"http://127.0.0.1:{port}/{kind}")], check_arrival)
        try:
            for _ in range(2):
                with pytest.raises(error):
                    store.get(BLOCK.id)
            good = open_routes([parse_route(f"http://127.0.0.1:{port}/good")], check_arrival)
            assert good.get(BLOCK.id) == DATA
            good.close()
        finally:
            store.close()


def test_mirrors_replace_each_other(tmp_path: Path) -> None:
    """A flist with a dead, a lying and a good mirror is read without errors."""
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    with serve_handler(Liar) as port:
        words = [
            "--store",
            f"http://127.0.0.1:{free_port()}",
            "--store",
            f"http://127.0.0.1:{port}/wrong",
        ]
        words += ["--store", f"dir://{tmp_path}/blocks", "-c", str(tmp_path / "cache")]
        rfs("unpack", "-m", tmp_path / "a.fl", *words, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
