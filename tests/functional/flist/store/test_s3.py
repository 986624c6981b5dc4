"""The s3 store against a real S3 server, OpenStack Swift, which checks every signature."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flist.blocks.codec import encode
from flist.errors import StoreError, StoreUnavailableError
from flist.store import s3
from flist.store.base import open_store
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.s3_server import S3Server, s3_server
from tests.helpers.flist.servers import make_certificate, serve_tls_before
from tests.helpers.flist.stores import BLOCK, exercise
from tests.helpers.flist.trees import describe, make_small_tree


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Return a running server; a test that stops it must start it again."""
    with s3_server(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture
def bucket(server: S3Server, request: pytest.FixtureRequest) -> str:
    """Return the name of a new bucket for the test."""
    name = str(request.node.name).replace("_", "-").split("[")[0][:60]
    server.make_bucket(name)
    return name


def test_blocks_are_objects_named_by_hex(server: S3Server, bucket: str) -> None:
    exercise(open_store(server.url(bucket)))
    assert server.list_bucket(bucket) == [BLOCK.id.hex()]


def test_a_tree_is_packed_into_a_bucket_and_unpacked(
    server: S3Server, bucket: str, tmp_path: Path
) -> None:
    """The route in the flist has no secret."""
    tree = make_small_tree(tmp_path / "tree")
    (tree / "large").write_bytes(bytes(range(256)) * 6000)
    meta, url = tmp_path / "a.fl", server.url(bucket)
    rfs("pack", "-m", meta, "-s", url, tree)
    assert len(server.list_bucket(bucket)) > 2
    assert b"secret" not in meta.read_bytes()
    rfs("unpack", "-m", meta, "--store", url, "-c", tmp_path / "c1", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    with mounted(meta, tmp_path / "m", "--store", url, "-c", tmp_path / "c2") as mount:
        assert describe(mount.path) == describe(tree)


@pytest.mark.parametrize(
    ("wrong", "said", "hint"),
    [
        ({"key": "farm%3Anobody"}, "signature", "access key"),
        ({"key": "hub"}, "signature", "access key"),
        ({"secret": "hub+secret"}, "signature", "access key"),
        ({"region": "elsewhere"}, "expecting 'here'", "region"),
    ],
)
def test_errors_are_reported_at_once(
    server: S3Server, bucket: str, wrong: dict[str, str], said: str, hint: str
) -> None:
    """A refusal is not an outage: it is not retried."""
    block, data = encode(b"x")
    with closing(open_store(server.url(bucket, **wrong))) as store:
        for ask in (lambda: store.get(block.id), lambda: store.put(block.id, data)):
            with pytest.raises(StoreError, match=said) as caught:
                ask()
            assert type(caught.value) is StoreError
            assert hint in (caught.value.hint or "")
        with pytest.raises(StoreError) as caught:
            store.has(block.id)
        assert type(caught.value) is StoreError
    assert server.list_bucket(bucket) == []


@pytest.mark.parametrize("scheme", ["s3s", "s3+tls"])
def test_tls(
    server: S3Server, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate of an unknown authority is refused at once."""
    name = f"tls-{scheme.replace('+', '-')}"
    server.make_bucket(name)
    certificate = make_certificate(tmp_path / "tls")
    with serve_tls_before(server.port, certificate, tmp_path / "nginx") as port:
        url = server.url(name).replace("s3://", f"{scheme}://").replace(str(server.port), str(port))
        with (
            closing(open_store(url)) as store,
            pytest.raises(StoreError, match="cannot trust") as caught,
        ):
            store.get(BLOCK.id)
        assert type(caught.value) is StoreError
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.authority))
        exercise(open_store(url))
    assert server.list_bucket(name) == [BLOCK.id.hex()]


@pytest.mark.parametrize("name", ["no-such-bucket", "Bad!"])
def test_a_bucket_that_is_not_there(server: S3Server, name: str, tmp_path: Path) -> None:
    """It is neither a missing block nor an outage; `pack` fails and leaves no flist."""
    block, data = encode(b"x")
    with closing(open_store(server.url(name))) as store:
        for ask in (lambda: store.get(block.id), lambda: store.put(block.id, data)):
            with pytest.raises(StoreError, match="bucket") as caught:
                ask()
            assert type(caught.value) is StoreError
    tree = make_small_tree(tmp_path / "tree")
    done = rfs("pack", "-m", tmp_path / "a.fl", "-s", server.url(name), tree, check=False)
    assert done.returncode != 0
    assert "bucket" in done.stderr
    assert "secret" not in done.stderr
    assert not (tmp_path / "a.fl").exists()


def test_a_stalled_request_is_given_up(
    server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "TIMEOUT", "500ms")
    block, _ = encode(b"x")
    with closing(open_store(server.url(bucket))) as store:
        with server.stalled():
            started = time.monotonic()
            with pytest.raises(StoreUnavailableError):
                store.get(block.id)
            assert time.monotonic() - started < 15  # less than the usual 20


def test_a_mount_survives_a_stall_and_a_restart_of_the_server(
    server: S3Server, bucket: str, tmp_path: Path
) -> None:
    """Each mount has a new cache, so that no block was read ahead."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("text" * 1000)
    meta, url = tmp_path / "a.fl", server.url(bucket)
    rfs("pack", "-m", meta, "-s", url, tree)
    words = ("--store", url, "--wait", "600")
    with mounted(meta, tmp_path / "m1", *words, "-c", tmp_path / "c1") as mount:
        with server.stalled():
            reader = Reader(mount.path / "file")
            reader.join(0.5)
            assert reader.is_alive(), reader.text[:40]
        assert reader.result() == "text" * 1000
    with mounted(meta, tmp_path / "m2", *words, "-c", tmp_path / "c2") as mount:
        server.stop()
        try:
            reader = Reader(mount.path / "file")
            reader.join(0.5)
            assert reader.is_alive(), reader.text[:40]
        finally:
            server.start()
        assert reader.result() == "text" * 1000


class Reader(threading.Thread):
    """Reads a file in a thread of its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.text = ""
        self.start()

    def run(self) -> None:
        """Read the file."""
        self.text = self.path.read_text()

    def result(self) -> str:
        """Wait, and return the text."""
        self.join(120)
        assert not self.is_alive()
        return self.text
