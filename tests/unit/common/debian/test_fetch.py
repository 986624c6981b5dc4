"""Archives of packages: made once, sealed, of the locked packages or (if told) of newer ones."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.debian import fetch
from common.debian.archive import open_archive
from common.debian.fetch import fetch_locked, fetch_or_resolve, fetch_packages
from common.debian.lock import DebianLock
from common.debian.pool import UNUSED_MAX_S, GoneError, PoolError, find_files
from tests.helpers.debian import Mirror, lock_package, make_lock, serve_mirror, simple_deb
from tests.helpers.waiting import wait_until

OLD, NEW = simple_deb({"etc/a": b"old"}), simple_deb({"etc/a": b"new"})
LOCK = make_lock(lock_package("one", OLD))
NEWER = make_lock(lock_package("one", NEW, "2.0"))


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serve a mirror with the old package; the newest is what apt finds."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_mirror() as found:
        found.files = {place(LOCK): OLD, place(NEWER): NEW}
        monkeypatch.setattr(fetch, "MIRROR", found.url)
        monkeypatch.setattr(fetch, "SNAPSHOT", f"{found.url}/archive")
        yield found


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let apt find `NEWER`; return what it is asked for."""
    asked: list[Any] = []

    def resolve(packages: object, **options: object) -> DebianLock:
        asked.append(packages)
        return NEWER

    monkeypatch.setattr(fetch, "resolve", resolve)
    return asked


def place(lock: DebianLock) -> str:
    return f"/debian/{lock.packages[0].path}"


def content(path: Path) -> bytes:
    with open_archive(path) as archive:
        return archive.read("etc/a")


def test_a_lock_gives_one_archive_of_exactly_its_packages(mirror: Mirror) -> None:
    said: list[str] = []
    path = fetch_locked(LOCK, progress=said.append)
    assert content(path) == b"old"
    assert said == ["fetched package 1 of 1: one 1.0 (0.0 MB)", "unpacking the packages"]
    assert fetch_locked(LOCK, progress=said.append) == path
    assert len(said) == 2
    assert fetch_locked(NEWER) != path
    assert mirror.asked == {place(LOCK): 1, place(NEWER): 1}


def test_concurrent_callers_fetch_once(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = threading.Event()
    join, joined, found, said = fetch.join_packages, [], [], ""

    def join_slowly(lock: DebianLock, places: dict[str, Path], path: Path) -> None:
        assert free.wait(60)
        joined.append(path)
        join(lock, places, path)

    def are_two_waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said.count("waiting for") == 2

    monkeypatch.setattr(fetch, "join_packages", join_slowly)
    threads = [threading.Thread(target=lambda: found.append(fetch_locked(LOCK))) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(are_two_waiting, "two callers wait")
    finally:
        free.set()
        for thread in threads:
            thread.join(timeout=60)
    assert len(found) == 3
    assert found == joined * 3
    assert content(found[0]) == b"old"


@pytest.mark.parametrize("damage", ["one byte", "shorter", "no seal"])
def test_a_damaged_archive_is_made_again(mirror: Mirror, damage: str) -> None:
    path = fetch_locked(LOCK)
    good, facts = path.read_bytes(), path.stat()
    if damage == "no seal":
        path.with_name(f"{path.name}.sha256").unlink()
    else:
        path.write_bytes(good[:-1] if damage == "shorter" else good.replace(b"old", b"odd"))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert fetch_locked(LOCK) == path
    assert path.read_bytes() == good
    assert mirror.asked == {place(LOCK): 1}


def test_a_package_that_changes_after_it_was_checked_is_refused(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(*words: Any) -> dict[str, Path]:
        places = find_files(*words)
        for path in places.values():
            path.write_bytes(b"x" * len(OLD))
        return places

    monkeypatch.setattr(fetch, "find_files", find)
    with pytest.raises(PoolError, match=r"for one 1\.0: the lock wants SHA-256"):
        fetch_locked(LOCK)
    assert not list((Path(os.environ["ZOS_CACHE"]) / "debian").glob("*.tar"))


def test_archives_that_nobody_uses_go(mirror: Mirror) -> None:
    old = fetch_locked(LOCK)
    long_ago = time.time() - UNUSED_MAX_S - 60
    os.utime(old, (0, long_ago))
    assert fetch_locked(LOCK) == old  # a use
    fetch_locked(NEWER)
    assert old.exists()
    os.utime(old, (0, long_ago))
    other = make_lock(lock_package("two", NEW))
    mirror.files[place(other)] = NEW
    fetch_locked(other)
    assert not old.exists()


def test_a_lock_is_kept_while_its_packages_are_there(mirror: Mirror, resolved: list[Any]) -> None:
    warned: list[str] = []
    lock, path = fetch_or_resolve(LOCK, warn=warned.append)
    assert lock is LOCK
    assert content(path) == b"old"
    assert (warned, resolved) == ([], [])


def test_newer_packages_only_if_a_locked_one_is_gone_and_never_quietly(
    mirror: Mirror, resolved: list[Any]
) -> None:
    del mirror.files[place(LOCK)]
    with pytest.raises(GoneError, match=r"cannot fetch one 1\.0"):
        fetch_locked(LOCK)
    warned: list[str] = []
    lock, path = fetch_or_resolve(LOCK, warn=warned.append)
    assert lock == NEWER
    assert content(path) == b"new"
    assert resolved == [("one",)]
    assert len(warned) == 1 and "NOT THE LOCKED ONES" in warned[0] and "one 1.0" in warned[0]
    assert fetch_or_resolve(LOCK, warn=warned.append) == (lock, path)
    assert (len(warned), len(resolved)) == (2, 1)  # the lock in the cache serves, said again


def test_a_lying_mirror_is_no_reason_for_newer_packages(
    mirror: Mirror, resolved: list[Any]
) -> None:
    mirror.files[place(LOCK)] = NEW
    with pytest.raises(PoolError, match="the lock wants"):
        fetch_or_resolve(LOCK, warn=pytest.fail)
    assert resolved == []


def test_the_newest_packages_of_a_request_are_found_once(
    mirror: Mirror, resolved: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch_packages(["one"])
    assert content(path) == b"new"
    assert fetch_packages(["one"]) == path
    assert fetch_packages(["one", "two"]) == path
    assert fetch_packages(["one"], suite="bookworm") == path
    assert resolved == [["one"], ["one", "two"], ["one"]]


def test_a_request_is_resolved_again_when_its_packages_are_gone(
    mirror: Mirror, resolved: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "resolve", lambda *_, **__: LOCK)
    path = fetch_packages(["one"])
    path.unlink()
    for file in (Path(os.environ["ZOS_CACHE"]) / "pool").iterdir():
        file.unlink()
    del mirror.files[place(LOCK)]
    monkeypatch.setattr(fetch, "resolve", lambda *_, **__: NEWER)
    assert content(fetch_packages(["one"])) == b"new"


def test_a_damaged_note_of_a_request_is_made_again(mirror: Mirror, resolved: list[Any]) -> None:
    fetch_packages(["one"])
    (note,) = (Path(os.environ["ZOS_CACHE"]) / "debian").glob("*.toml")
    note.write_text("half a lo")
    fetch_packages(["one"])
    assert len(resolved) == 2
