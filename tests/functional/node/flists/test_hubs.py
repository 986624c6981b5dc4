"""Several hubs: the first that answers well is used, and the next one when it fails."""

import contextlib
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.hub.app import create_app
from node.flists import hubs
from node.flists.fetch import Signed, fetch_from_any
from node.flists.hubs import rank_hubs
from node.flists.model import WORKLOAD, Wanted
from node.model import NodeError
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.node.hub import make_signed_hub, read_keys

NAME = "tf-zos/development"
WANTED = Wanted(WORKLOAD, NAME)
LIMIT = 1 << 20
CONTENT = b"the content of a flist" * 100


@contextlib.contextmanager
def serve(root: Path) -> Iterator[str]:
    """Serve a hub's folder; yield the URL."""
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(create_app(root), listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a hub's folder with one signed flist."""
    return make_signed_hub(tmp_path, NAME, CONTENT)


@pytest.fixture
def keys(root: Path) -> list[bytes]:
    """Return the public key that signed the flist."""
    return read_keys(root)


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the URL of a server that accepts and never answers."""
    with open_listener("127.0.0.1", 0) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def dead() -> str:
    """Return a URL where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_the_hub_that_answers_comes_first(root: Path, silent: str, dead: str) -> None:
    began = time.monotonic()
    with serve(root) as good:
        assert list(rank_hubs([silent, dead, good], WANTED)) == [good, silent, dead]
    assert time.monotonic() - began < hubs.FIRST_S


def test_a_hub_without_the_flist_comes_last(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "FIRST_S", 120.0)  # however slow this machine is
    (tmp_path / "empty").mkdir()
    with serve(root) as good, serve(tmp_path / "empty") as empty:
        assert list(rank_hubs([empty, good], WANTED)) == [good, empty]


def test_one_hub_is_not_asked_before(dead: str) -> None:
    assert list(rank_hubs([dead], WANTED)) == [dead]


def test_without_an_answer_the_order_stays(
    silent: str, dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "FIRST_S", 0.3)
    assert list(rank_hubs([silent, dead], WANTED)) == [silent, dead]


def test_an_altered_flist_is_taken_from_another_hub(
    root: Path, keys: list[bytes], tmp_path: Path
) -> None:
    shutil.copytree(root, tmp_path / "evil")
    (tmp_path / "evil" / "flists" / f"{NAME}.fl").write_bytes(CONTENT + b"!")
    told: list[str] = []
    with serve(tmp_path / "evil") as evil, serve(root) as good:
        wanted = ([evil, good], WANTED, tmp_path / "got", Signed(keys, LIMIT), "", told.append)
        fetched = fetch_from_any(*wanted)
        assert (fetched.size, fetched.hub) == (len(CONTENT), good)
        assert (tmp_path / "got").read_bytes() == CONTENT
        assert [line.startswith(f"{evil}: ") for line in told] == [True]


def test_if_none_works_a_refused_signature_is_named_first(
    root: Path, keys: list[bytes], tmp_path: Path, dead: str
) -> None:
    (root / "flists" / f"{NAME}.fl").write_bytes(CONTENT + b"!")
    with serve(root) as evil, pytest.raises(NodeError) as caught:
        fetch_from_any(
            [dead, evil], WANTED, tmp_path / "got", Signed(keys, LIMIT), "", lambda _: None
        )
    assert caught.value.code == "ZB43"
