"""Blocks that a remote store has are not sent again."""

import http.server
import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import update

from flist.blocks.codec import digest, encode
from flist.errors import StoreError, StoreUnavailableError
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.tables import BLOCKS as BLOCK_ROWS
from flist.store.base import open_store
from flist.store.server import ServerStore
from flist.store.zdb import ZdbStore
from tests.helpers.flist.hub import TOKEN, make_root
from tests.helpers.flist.mount import rfs, serving
from tests.helpers.flist.s3_server import s3_server
from tests.helpers.flist.servers import redis_server, serve_handler
from tests.helpers.flist.trees import describe, make_small_tree

BLOCKS = [encode(b"block %d" % number) for number in range(5)]
IDS = [block.id for block, _ in BLOCKS]


def count_sets(url: str) -> int:
    """Return how many blocks Redis has received."""
    store = open_store(url)
    assert isinstance(store, ZdbStore)
    with closing(store):
        answer = store.ask(b"INFO", b"commandstats")
    assert isinstance(answer, bytes)
    lines = [line for line in answer.decode().splitlines() if line.startswith("cmdstat_set:")]
    return int(lines[0].partition("calls=")[2].partition(",")[0]) if lines else 0


def test_redis_gets_only_what_is_new(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    make_small_tree(tmp_path / "copy")
    (tmp_path / "copy" / "new").write_text("what the first does not have")
    with redis_server(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}"
        rfs("pack", "-m", tmp_path / "a.fl", "-s", url, tree)
        count = count_sets(url)
        assert count > 5
        rfs("pack", "-m", tmp_path / "b.fl", "-s", url, tmp_path / "copy")
        assert count_sets(url) == count + 1
        rfs("pack", "--checksum", "-m", tmp_path / "c.fl", "-s", url, tree)
        rfs("convert", "-m", tmp_path / "a.fl", "-o", tmp_path / "d.fl", "-s", url)
        assert "copied 0 blocks" in rfs("clone", "-m", tmp_path / "b.fl", "-s", url).stderr
        assert count_sets(url) == count + 1
        rfs("unpack", "-m", tmp_path / "b.fl", "-c", tmp_path / "cache", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tmp_path / "copy")


def test_a_full_server_is_reported_and_no_flist_is_written(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    with redis_server(tmp_path, "--maxmemory", "2mb") as port:
        for processes in ("1", "2"):
            words = ["-s", f"redis://127.0.0.1:{port}", "--processes", processes]
            done = rfs("pack", "-m", tmp_path / "a.fl", *words, tree, check=False)
            assert done.returncode == 1
            assert "refused: OOM" in done.stderr
            assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "a.fl").exists()


def test_a_replica_gets_only_what_it_lacks(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    with redis_server(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}"
        rfs("pack", "-m", tmp_path / "a.fl", "-s", url, tree)
        count = count_sets(url)
        other = ["-s", f"dir://{tmp_path}/blocks"]
        rfs("pack", "-m", tmp_path / "b.fl", "-s", url, *other, tree)
        assert count_sets(url) == count
    rfs("verify", "-m", tmp_path / "b.fl", "--store", f"dir://{tmp_path}/blocks")


def test_redis_checks_many_blocks_at_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as port:
        store = open_store(f"redis://127.0.0.1:{port}")
        assert isinstance(store, ZdbStore)
        with closing(store):
            for block, data in (BLOCKS[1], BLOCKS[3]):
                store.put(block.id, data)
            assert store.missing(IDS) == {IDS[0], IDS[2], IDS[4]}


class Server(http.server.BaseHTTPRequestHandler):
    """A server with upstream's API.

    With `trusts_nobody`, `verify` reports every block as missing, as upstream's server does for
    blocks of other users.
    """

    protocol_version = "HTTP/1.1"
    trusts_nobody = False
    verify_status = 200
    blocks: dict[str, bytes]
    asked: list[str]

    def log_message(self, *_words: object) -> None:
        """Log nothing."""

    def answer(self, status: int, body: bytes = b"") -> None:
        """Send an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        """Say whether a block is there."""
        self.asked.append("HEAD")
        self.answer(200 if self.path.rpartition("/")[2] in self.blocks else 404)

    def do_POST(self) -> None:
        """Accept a block, or say which blocks are missing."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/v1/block/verify":
            self.asked.append("verify")
            names = [row["block_hash"] for row in json.loads(body)["blocks"]]
            missing = [n for n in names if self.trusts_nobody or n not in self.blocks]
            self.answer(self.verify_status, json.dumps({"missing": missing}).encode())
            return
        self.asked.append("put")
        self.blocks[digest(body).hex()] = body
        self.answer(201)


def make_server(**properties: object) -> type[Server]:
    """Return a new server with two of the blocks."""
    known = {block.id.hex(): data for block, data in (BLOCKS[1], BLOCKS[3])}
    return type("Kind", (Server,), {"blocks": known, "asked": [], **properties})


def test_a_server_checks_many_blocks_with_one_request() -> None:
    kind = make_server()
    with serve_handler(kind) as port, closing(ServerStore(f"http://127.0.0.1:{port}")) as store:
        assert store.missing(IDS) == {IDS[0], IDS[2], IDS[4]}
        assert kind.asked == ["verify", "HEAD"]
        assert store.missing([IDS[1]]) == set()
        assert kind.asked == ["verify", "HEAD", "verify"]


@pytest.mark.parametrize("properties", [{"trusts_nobody": True}, {"verify_status": 404}])
def test_each_block_is_checked_if_the_server_reports_too_many(
    properties: dict[str, object],
) -> None:
    kind = make_server(**properties)
    with serve_handler(kind) as port, closing(ServerStore(f"http://127.0.0.1:{port}")) as store:
        assert store.missing([IDS[1], IDS[2], IDS[3]]) == {IDS[2]}
        assert kind.asked == ["verify"] + ["HEAD"] * 3


def test_a_server_that_cannot_answer_the_question() -> None:
    kind = make_server(verify_status=500)
    with serve_handler(kind) as port, closing(ServerStore(f"http://127.0.0.1:{port}")) as store:
        with pytest.raises(StoreUnavailableError):
            store.missing(IDS)
        kind.verify_status = 200
        kind.do_POST = lambda self: self.answer(200, b"[]")  # type: ignore[method-assign]
        with pytest.raises(StoreError, match="no list"):
            store.missing(IDS)


def test_a_server_gets_only_what_is_new(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    kind = make_server()
    with serve_handler(kind) as port:
        url = f"server://http://127.0.0.1:{port}"
        rfs("pack", "-m", tmp_path / "a.fl", "-s", url, tree)
        count = kind.asked.count("put")
        assert count > 5
        make_small_tree(tmp_path / "copy")
        rfs("pack", "-m", tmp_path / "b.fl", "-s", url, tmp_path / "copy")
    assert kind.asked.count("put") == count


def test_the_hub_reports_missing_blocks(tmp_path: Path) -> None:
    with serving(make_root(tmp_path / "hub")) as hub:
        store = open_store(f"server://{hub.url}?token={TOKEN}")
        assert isinstance(store, ServerStore)
        with closing(store):
            store.put(IDS[1], BLOCKS[1].data)
            names = [block_id.hex() for block_id in IDS]
            assert store.server.verify(names) == [names[0], *names[2:]]
            local = open_hub(HubSettings(root=tmp_path / "hub"))
            with local.database.writing() as connection:
                connection.execute(update(BLOCK_ROWS).values(touched_s=0.0))
            assert store.missing(IDS) == {IDS[0], *IDS[2:]}
            assert local.blocks.find(IDS[1]).touched_s > 0  # `gc` on the hub leaves it alone
            local.close()


def test_a_bucket_gets_only_what_is_new(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    with s3_server(tmp_path) as server:
        server.make_bucket("blocks")
        rfs("pack", "-m", tmp_path / "a.fl", "-s", server.url("blocks"), tree)
        objects = json.loads(server.ask("GET", "blocks?format=json"))
        make_small_tree(tmp_path / "copy")
        rfs("pack", "-m", tmp_path / "b.fl", "-s", server.url("blocks"), tmp_path / "copy")
        assert len(objects) > 5
        assert json.loads(server.ask("GET", "blocks?format=json")) == objects  # times, too
