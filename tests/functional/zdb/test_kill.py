"""`kill -9` at random moments, and the power that fails: what was promised is there."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.zdb.script import Script, apply
from zdb.storage import checkpointing
from zdb.storage.changes import Changes
from zdb.storage.files import Disk
from zdb.storage.namespace import Namespace
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store

BATCH = 20  # changes between two commits, at most
MODES = ["user", "seq"]


@pytest.fixture(autouse=True)
def _frequent_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpointing, "MAX_CHANGES", 30)


def settings(mode: str, sync: str = "never") -> StoreSettings:
    return StoreSettings(mode=mode, sync=sync, file_size=100_000)


def open_store(top: Path, mode: str, sync: str = "never", disk: Disk | None = None) -> Store:
    store = Store(top / "data", top / "index", settings(mode, sync), disk)
    store.open()
    return store


def write(top: Path, mode: str, script: Script, acknowledge: int, seed: int) -> None:
    """Change things and say how many changes are committed, until killed."""
    store, chance, done = open_store(top, mode), random.Random(seed), 0
    namespace = store.namespaces["default"]
    while True:
        for _ in range(chance.randrange(1, BATCH + 1)):
            apply(namespace, script.step())
            done += 1
        assert not store.commit()
        os.write(acknowledge, b"%d\n" % done)
        if chance.random() < 0.02:
            namespace.checkpoint()


def run_and_kill(top: Path, mode: str, script: Script, chance: random.Random) -> int:
    """Run a writer, kill it, and return how many changes it said it had committed."""
    reader, writer = os.pipe()
    seed = chance.randrange(1 << 30)
    child = os.fork()
    if child == 0:
        try:
            write(top, mode, script, writer, seed)
        finally:
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as answers:
        first = answers.readline()
        time.sleep(chance.random() * 0.02)  # the moment: anywhere within some commits
        os.kill(child, signal.SIGKILL)
        lines = [first, *answers.readlines()]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer failed"
    return int(lines[-1])


def is_equal(namespace: Namespace, state: dict[bytes, bytes]) -> bool:
    return namespace.entries == len(state) and all(
        namespace.get(key) == value for key, value in state.items()
    )


def recover(namespace: Namespace, script: Script, done: int) -> None:
    """Bring the script to where the namespace is: at the last commit, or within the next one."""
    for _ in range(done):
        script.step()
    for state in script.states(BATCH):
        if is_equal(namespace, state):
            return
    pytest.fail(f"not one of the states behind {done} changes")


def test_a_store_that_is_killed_has_all_that_was_committed(tmp_path: Path) -> None:
    kill_often(tmp_path, moments=15)


@pytest.mark.matrix
@pytest.mark.timeout(1800)
def test_a_thousand_moments(tmp_path: Path) -> None:
    kill_often(tmp_path, moments=500)


def kill_often(top: Path, moments: int) -> None:
    for mode in MODES:
        chance = random.Random(time.time_ns())
        script = Script(mode, 1)
        for moment in range(moments):
            folder = top / mode
            done = run_and_kill(folder, mode, script, chance)
            store = open_store(folder, mode)
            recover(store.namespaces["default"], script, done)
            if chance.random() < 0.5:
                store.close()
            else:
                store.abandon()
            if moment % 20 == 19:  # begin anew, so that the folder stays small
                shutil.rmtree(folder)
                script = Script(mode, moment)


class PowerDisk(Disk):
    """Remembers what a file was at its last sync, and what was written since."""

    def __init__(self) -> None:
        self.synced: dict[Path, bytes] = {}
        self.writes: dict[Path, list[tuple[int, bytes]]] = {}

    def path(self, handle: int) -> Path:
        return Path(f"/proc/self/fd/{handle}").readlink()

    def pwritev(self, handle, buffers, offset):  # type: ignore[no-untyped-def, override]
        blob = b"".join(buffers)
        self.writes.setdefault(self.path(handle), []).append((offset, blob))
        return os.pwrite(handle, blob, offset)

    def sync(self, handle):  # type: ignore[no-untyped-def]
        path = self.path(handle)
        self.synced[path] = path.read_bytes()
        self.writes[path] = []

    def fail(self, chance: random.Random) -> None:
        """Leave of each file what was synced, and parts of what came after."""
        for path, writes in self.writes.items():
            blob = bytearray(self.synced.get(path, b""))
            for offset, new in writes:
                for at in sectors(offset, len(new)):
                    if chance.random() < 0.5:
                        part = new[at - offset : (at & ~511) + 512 - offset]
                        blob.extend(bytes(max(0, at + len(part) - len(blob))))
                        blob[at : at + len(part)] = part
            path.write_bytes(blob)


def sectors(offset: int, size: int) -> Iterator[int]:
    """Yield where the parts of a write begin that a disk writes whole."""
    yield offset
    yield from range((offset & ~511) + 512, offset + size, 512)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(10))
def test_policy_always_loses_nothing_when_the_power_fails(
    tmp_path: Path, mode: str, seed: int
) -> None:
    chance, script = random.Random(seed), Script(mode, seed)
    for _ in range(6):
        disk = PowerDisk()
        store = open_store(tmp_path, mode, "always", disk)
        namespace = store.namespaces["default"]
        for _ in range(chance.randrange(1, 30)):
            for _ in range(chance.randrange(1, BATCH + 1)):
                apply(namespace, script.step())
            assert not store.commit()
            if chance.random() < 0.1:
                namespace.checkpoint()
        committed = dict(script.state)
        namespace.data.current.write_out()  # a part of a checkpoint, or of a commit
        if chance.random() < 0.5:
            namespace.index.current.sync()
            write_some_changes(namespace, chance)
        store.abandon()
        disk.fail(chance)
        store = open_store(tmp_path, mode, "always")
        assert is_equal(store.namespaces["default"], committed)
        store.close()


def write_some_changes(namespace: Namespace, chance: random.Random) -> None:
    """Write the changes of older index entries, as a checkpoint does that is interrupted."""
    index, some = namespace.index, Changes()
    some.flagged = {place for place in index.changes.flagged if chance.random() < 0.5}
    some.patches = {at: e for at, e in index.changes.patches.items() if chance.random() < 0.5}
    some.write(index.files, namespace._handles.disk)


@pytest.mark.parametrize("mode", MODES)
def test_policy_never_keeps_what_the_last_checkpoint_has(tmp_path: Path, mode: str) -> None:
    for seed in range(10):
        chance, script, top = random.Random(seed), Script(mode, seed), tmp_path / str(seed)
        disk = PowerDisk()
        store = open_store(top, mode, "never", disk)
        namespace = store.namespaces["default"]
        for _ in range(200):
            apply(namespace, script.step())
        store.commit()
        namespace.checkpoint()
        kept = dict(script.state)
        later = set()
        for _ in range(50):
            key, value = change = script.step()
            later.add(key or (script.slots - 1).to_bytes(8, "little"))
            apply(namespace, change)
            assert not store.commit()
        store.abandon()
        disk.fail(chance)
        store = open_store(top, mode, "never")
        namespace = store.namespaces["default"]
        for key, value in kept.items():
            assert key in later or namespace.get(key) == value
        store.close()
