"""Servers that stall, truncate, lie, refuse or reset, for ever or for a while."""

import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flist.blocks.codec import check_arrival, encode
from flist.errors import BlockError, FlistError, StoreError
from flist.http.patience import LONGEST_S
from flist.model import CHUNK_BYTES, Route
from flist.store.cache import BlockCache
from flist.store.fetch import Fetcher
from flist.store.folder import FolderStore
from flist.store.http import HttpStore
from flist.store.retry import RetryingStore
from flist.store.routed import RoutedStore
from tests.helpers.flist.faults import (
    FaultyServer,
    check_blocks,
    faulty_server,
    file_hashes,
    make_many_files,
    pack_into,
)
from tests.helpers.flist.mount import mounted, rfs, rfs_daemon
from tests.helpers.needs import need_fuse
from tests.helpers.waiting import DEADLINE_S, wait_until

if TYPE_CHECKING:
    from flist.store.base import Store

PLAIN = bytes(range(256)) * 2000
OTHER = b"another chunk" * 1000
LIES = ["flip", "short", "empty", "swap", "oversize"]
OUTAGES = ["500", "503", "429", "reset", "truncate", "stall"]
TIMEOUT_S = {"stall": 0.3}
"""How long a request may take; by default long, also if this machine is busy."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    store = FolderStore(tmp_path / "blocks")
    for chunk in (PLAIN, OTHER):
        encoded = encode(chunk)
        store.put(encoded.block.id, encoded.data)
    with faulty_server(tmp_path / "blocks") as server:
        yield server


def make_fetcher(urls: list[str], cache: Path, wait_s: float, fault: str = "") -> Fetcher:
    timeout_s = TIMEOUT_S.get(fault, LONGEST_S)
    routes: list[tuple[Route, Store]] = [
        (Route(0, 255, url), HttpStore(url, timeout_s)) for url in urls
    ]
    store = RetryingStore(RoutedStore(routes, check_arrival), wait_s)
    return Fetcher(store, BlockCache(cache))


@pytest.mark.parametrize("fault", [*LIES, *OUTAGES, "403"])
def test_a_fault_that_stays_is_an_error_within_the_limit(
    server: FaultyServer, tmp_path: Path, fault: str
) -> None:
    server.break_with(fault)
    fetcher = make_fetcher([server.url], tmp_path / "cache", 1.0, fault)
    with pytest.raises(BlockError if fault in LIES else StoreError):
        fetcher.plain(encode(PLAIN).block, len(PLAIN))
    assert not list((tmp_path / "cache").glob("*/*"))
    assert fetcher.statistics.fetched == 0
    fetcher.close()


@pytest.mark.parametrize("fault", [*LIES, *OUTAGES])
def test_a_fault_that_passes_is_waited_out(
    server: FaultyServer, tmp_path: Path, fault: str
) -> None:
    server.break_with(fault, times=2)
    fetcher = make_fetcher([server.url], tmp_path / "cache", 120.0, fault)
    assert fetcher.plain(encode(PLAIN).block, len(PLAIN)) == PLAIN
    assert server.asked >= 3
    assert check_blocks(tmp_path / "cache") == 1
    fetcher.close()


@pytest.mark.parametrize("fault", [*LIES, *OUTAGES, "403"])
def test_a_mirror_that_fails_is_passed_over(
    server: FaultyServer, tmp_path: Path, fault: str
) -> None:
    server.break_with(fault)
    with faulty_server(tmp_path / "blocks") as mirror:
        fetcher = make_fetcher([server.url, mirror.url], tmp_path / "cache", 120.0, fault)
        assert fetcher.plain(encode(PLAIN).block, len(PLAIN)) == PLAIN
        fetcher.close()


def test_a_mount_outlives_outages_and_lies(tmp_path: Path) -> None:
    """Files that could not be had are EIO; when the server is well again they are right."""
    tree = make_many_files(tmp_path / "tree", 40)
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "--cache", tmp_path / "cache", "--wait", "2")
        with mounted(meta, tmp_path / "m", *words) as mount:
            for fault in ("500", "flip", "swap", "reset", "truncate"):
                server.break_with(fault)
                with pytest.raises(OSError, match="Input/output error"):
                    (mount.path / "large").read_bytes()
            server.break_with("none")
            wait_until(lambda: file_hashes(mount.path / "folder-0"), "files that are right")
            assert mount.process.poll() is None
        words = (*words[:-1], "120")
        with mounted(meta, tmp_path / "m", *words) as mount:
            server.break_with("503", times=2)
            assert file_hashes(mount.path) == expected
        assert check_blocks(tmp_path / "cache") > 40


@pytest.mark.parametrize("adapter", ["raw", "library"])
def test_a_mount_says_why_a_read_fails(tmp_path: Path, adapter: str) -> None:
    """On stderr, which is the log of a daemon: the file, the block and the reason."""
    need_fuse()
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 2))
    target, log = tmp_path / "m", tmp_path / "log"
    target.mkdir()
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "-c", tmp_path / "cache", "--wait", "0")
        rfs_daemon("-m", meta, *words, "--log", log, "--adapter", adapter, target)
        try:
            for fault, reason in (("503", "it answered 503"), ("flip", "is refused: its bytes")):
                server.break_with(fault)
                with pytest.raises(OSError, match="Input/output error"):
                    (target / "large").read_bytes()
                wait_until(partial(names_a_block, log, reason), f"{reason!r} in the log")
            assert f"cannot read {target}/large at byte " in log.read_text()
        finally:
            subprocess.run(["umount", "-l", target], check=True, timeout=60)


def test_a_mount_says_which_block_of_this_machine_is_damaged(tmp_path: Path) -> None:
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 2))
    for path in (tmp_path / "blocks").glob("*/*"):
        path.write_bytes(b"damaged")
    with mounted(meta, tmp_path / "m") as mount:
        with pytest.raises(OSError, match="Input/output error"):
            (mount.path / "large").read_bytes()
        assert mount.process.stderr is not None
        line = mount.process.stderr.readline()
    assert f"cannot read {mount.path}/large at byte 0: block " in line
    assert "is refused" in line


def test_debug_logs_each_try(tmp_path: Path) -> None:
    """Before the command and after it, in the log of a daemon and on stderr."""
    need_fuse()
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 2))
    target, log = tmp_path / "m", tmp_path / "log"
    target.mkdir()
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url)
        cache = ("-c", tmp_path / "cache")
        rfs_daemon("--debug", "-m", meta, *words, *cache, "--log", log, target)
        try:
            server.break_with("503")
            reader = threading.Thread(target=(target / "large").read_bytes)
            reader.start()
            # Not the first one has to be told: it may be one of several that are asked for at once.
            wait_until(lambda: "it answered 503" in log.read_text(), "a failure in the log")
            server.break_with("none")
            reader.join(DEADLINE_S)
        finally:
            subprocess.run(["umount", "-l", target], check=True, timeout=60)
        lines = log.read_text().splitlines()
        assert any("failed after " in line and "it answered 503" in line for line in lines)
        assert any(" bytes in " in line for line in lines)
        cache = ("-c", tmp_path / "empty")  # in the other one everything may be by now
        said = rfs("--debug", "unpack", "-m", meta, *words, *cache, tmp_path / "out").stderr
        assert "flist.store: " in said


def names_a_block(log: Path, reason: str) -> bool:
    """Whether a line of a log has the reason, and a block of the store beside it."""
    names = [path.name for path in log.parent.glob("blocks/*/*")]
    lines = [line for line in log.read_text().splitlines() if reason in line]
    return any(name in line for line in lines for name in names)


def test_unpack_names_what_is_broken_and_a_rerun_completes_it(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 30)
    meta = pack_into(tmp_path, tree)
    out = tmp_path / "out"
    with faulty_server(tmp_path / "blocks") as server:
        words = ("-m", meta, "--store", server.url, "--cache", tmp_path / "cache")
        server.break_with("flip")
        done = rfs("unpack", *words, out, check=False)
        assert done.returncode == 1
        assert "broken" in done.stderr and "refused" in done.stderr
        assert "Traceback" not in done.stderr
        assert file_hashes(out) == {}
        server.break_with("503")
        done = rfs("unpack", *words, "--wait", "0", out, check=False)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        server.break_with("none")
        rfs("unpack", *words, out)
    assert file_hashes(out) == file_hashes(tree)


def test_many_threads_do_not_mix_files_up(tmp_path: Path) -> None:
    """From afar several threads write at once; long names that begin alike are no trap."""
    tree = make_many_files(tmp_path / "tree", 120, size=100)
    meta = pack_into(tmp_path, tree)
    with faulty_server(tmp_path / "blocks") as server:
        for number in range(3):
            out = tmp_path / f"out-{number}"
            rfs("unpack", "-m", meta, "--store", server.url, "--cache", tmp_path / "c", out)
            assert file_hashes(out) == file_hashes(tree)


def test_a_chunk_that_nobody_has_is_an_error_at_once(server: FaultyServer, tmp_path: Path) -> None:
    fetcher = make_fetcher([server.url], tmp_path / "cache", 600.0)
    with pytest.raises(FlistError, match="not at"):
        fetcher.plain(encode(b"nobody has this").block, CHUNK_BYTES)
    fetcher.close()


def test_one_connection_serves_many_blocks(server: FaultyServer) -> None:
    store = HttpStore(server.url)
    for _ in range(5):
        assert store.get(encode(PLAIN).block.id) == encode(PLAIN).data
        assert store.has(encode(OTHER).block.id)
        with pytest.raises(FlistError):
            store.get(encode(b"nobody has this").block.id)
    assert len(server.clients) == 1
    store.close()
