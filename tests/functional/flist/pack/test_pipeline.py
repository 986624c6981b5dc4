"""Packing: which files are read again, bounded memory, workers that die."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.errors import FlistError
from flist.pack.known_files import RACY_NS
from flist.pack.workers import Worker, run_jobs
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import describe, make_small_tree, make_sparse
from tests.helpers.processes import children_of
from tests.helpers.waiting import wait_until

MIB = 1 << 20


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the packs of this test their own cache."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "zos-cache"))
    yield


def pack(tmp_path: Path, *words: str) -> dict[str, int]:
    """Pack the tree and return the summary."""
    store = f"dir://{tmp_path}/blocks"
    call = ["pack", "--json", "-m", str(tmp_path / "a.fl"), "-s", store, *words]
    answer: dict[str, int] = json.loads(rfs(*call, tmp_path / "tree").stdout)
    return answer


def make_old(tree: Path) -> None:
    """Wait until every file is old enough to be recorded as known."""
    settled_ns = max(path.lstat().st_ctime_ns for path in [tree, *tree.rglob("*")]) + RACY_NS
    wait_until(lambda: time.time_ns() > settled_ns, "the files to be old enough")


def test_only_what_changed_is_read_again(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    make_old(tree)
    first = pack(tmp_path)
    assert first["read_bytes"] == first["size_bytes"]
    before = (tmp_path / "a.fl").read_bytes()
    assert pack(tmp_path)["read_bytes"] == 0
    assert (tmp_path / "a.fl").read_bytes() == before
    assert pack(tmp_path, "--checksum")["read_bytes"] == first["size_bytes"]
    status = (tree / "chunk").stat()
    (tree / "chunk").write_bytes(b"y" * status.st_size)  # the same size and mtime
    os.utime(tree / "chunk", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert pack(tmp_path)["read_bytes"] == status.st_size
    (tree / "one").rename(tree / "two")
    (tree / "sub" / "text").write_text("other")
    assert pack(tmp_path)["read_bytes"] <= 1 + 5 + status.st_size
    rfs("unpack", "-m", tmp_path / "a.fl", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)


def test_young_files_are_read_again(tmp_path: Path) -> None:
    """A change right after a pack may leave the same times. This file stays young for a day."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("x")
    os.utime(tmp_path / "tree" / "file", (0, time.time() + 86400))
    pack(tmp_path)
    assert pack(tmp_path)["read_bytes"] == 1


def test_a_store_that_lost_its_blocks_gets_them_again(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    make_old(tree)
    first = pack(tmp_path)
    shutil.rmtree(tmp_path / "blocks")
    assert 0 < pack(tmp_path)["read_bytes"] <= first["size_bytes"]  # equal chunks are stored once
    rfs("verify", "-m", tmp_path / "a.fl")


def test_a_damaged_record_of_known_files_is_ignored(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    make_old(tree)
    first = pack(tmp_path)
    (record,) = (tmp_path / "zos-cache" / "pack").iterdir()
    data = bytearray(record.read_bytes())
    for wrong in (b"", data[:-1], data[:40], bytes(100)):
        record.write_bytes(wrong)
        assert pack(tmp_path)["read_bytes"] == first["size_bytes"]


def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    """One file of 300 MiB is packed and unpacked with less memory than that."""
    tree = tmp_path / "tree"
    tree.mkdir()
    with (tree / "large").open("wb") as stream:
        for number in range(300):
            stream.write(hashlib.shake_256(b"%d" % (number % 5)).digest(MIB))
    run_limited(["pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/b", tree])
    run_limited(["unpack", "-m", tmp_path / "a.fl", tmp_path / "out"])
    assert (
        subprocess.run(["cmp", tree / "large", tmp_path / "out" / "large"], check=False).returncode
        == 0
    )


def run_limited(words: list[str | Path]) -> None:
    """Run a command with 300 MiB of address space, Python's own included."""
    limit = 300 * MIB

    def restrict() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    call = [sys.executable, "-m", "zero_os", "flist", *map(str, words)]
    subprocess.run(call, check=True, preexec_fn=restrict, timeout=240)


def test_a_sparse_file_beyond_4_gib(tmp_path: Path) -> None:
    """It keeps its size, data and holes."""
    tree = tmp_path / "tree"
    tree.mkdir()
    make_sparse(tree / "huge", (4 << 30) + 12345, [(0, b"start"), ((4 << 30) + 12000, b"end")])
    pack(tmp_path)
    rfs("unpack", "-m", tmp_path / "a.fl", tmp_path / "out")
    found = tmp_path / "out" / "huge"
    assert found.stat().st_size == (4 << 30) + 12345
    assert found.stat().st_blocks < 1000
    with found.open("rb") as stream:
        assert stream.read(5) == b"start"
        stream.seek((4 << 30) + 12000)
        assert stream.read(3) == b"end"


class Doubler(Worker[int, int]):
    """Doubles numbers. -1 kills the worker, -2 and -3 raise."""

    def work(self, job: int) -> int:
        if job == -1:
            os.kill(os.getpid(), signal.SIGKILL)
        if job == -2:
            raise FlistError("cannot double", hint="no")
        if job == -3:
            raise ValueError("a bug")
        return job * 2


def test_workers() -> None:
    jobs = range(10_000)  # more than the queue's pipe holds
    assert sorted(run_jobs(jobs, Doubler(), 3)) == [job * 2 for job in jobs]
    assert list(run_jobs([4], Doubler(), 3)) == [8]
    assert list(run_jobs([], Doubler(), 3)) == []


def test_a_failure_to_list_jobs_ends_the_workers() -> None:
    def jobs() -> Iterator[int]:
        yield from range(10)
        raise FlistError("cannot read")

    before = children_of(os.getpid())
    with pytest.raises(FlistError, match="cannot read"):
        list(run_jobs(jobs(), Doubler(), 2))
    assert children_of(os.getpid()) == before


@pytest.mark.parametrize(("bad", "reason"), [(-1, "killed"), (-2, "double"), (-3, "a bug")])
def test_workers_that_fail(bad: int, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = children_of(os.getpid())
    with pytest.raises(FlistError, match=reason):
        list(run_jobs([1, 2, bad, *range(100)], Doubler(), 2))
    assert children_of(os.getpid()) == before
