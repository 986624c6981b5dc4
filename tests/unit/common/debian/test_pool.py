"""The cache of locked files, and the sources that fill it."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.debian import fetch, pool
from common.debian.fetch import package_urls, wanted_files
from common.debian.pool import GoneError, PoolError, Wanted, cached_path, fill_mirror, find_files
from tests.helpers.debian import SNAPSHOT, Mirror, lock_package, make_lock, serve_mirror

GOOD = b"a package" * 1000
PACKAGE = lock_package("one", GOOD)
PATH = f"/debian/{PACKAGE.path}"
OLD_PATH = f"/archive/debian/{SNAPSHOT}/{PACKAGE.path}"


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serve a mirror and the snapshot service; nothing else can be reached."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_mirror() as found:
        monkeypatch.setattr(fetch, "MIRROR", found.url)
        monkeypatch.setattr(fetch, "SNAPSHOT", f"{found.url}/archive")
        yield found


def find(*packages: object, **options: object) -> list[bytes]:
    wanted = wanted_files(make_lock(*(packages or (PACKAGE,))))  # type: ignore[arg-type]
    places = find_files(wanted, **options)  # type: ignore[arg-type]
    return [places[file.sha256].read_bytes() for file in wanted]


def test_a_file_is_fetched_once(mirror: Mirror) -> None:
    mirror.files[PATH] = GOOD
    said: list[str] = []
    assert find(progress=said.append) == [GOOD]
    assert find() == [GOOD]
    assert mirror.asked == {PATH: 1}
    assert said == ["fetched package 1 of 1: one 1.0 (0.0 MB)"]


@pytest.mark.parametrize("damage", [b"", GOOD[:-1], GOOD + b"x", GOOD[:-1] + b"X", None])
def test_a_damaged_cache_is_noticed(mirror: Mirror, damage: bytes | None) -> None:
    mirror.files[PATH] = GOOD
    find()
    path = cached_path(wanted_files(make_lock(PACKAGE))[0])
    facts = path.stat()
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert find() == [GOOD]
    assert mirror.asked == {PATH: 2}


@pytest.mark.parametrize("lie", [b"", GOOD[:-1], GOOD + b"x" * 10, b"x" * len(GOOD)])
def test_a_lying_mirror_is_told_from_a_package_that_is_gone(mirror: Mirror, lie: bytes) -> None:
    mirror.files[PATH] = lie
    with pytest.raises(
        PoolError, match=f"cannot fetch one 1.0, .*{PACKAGE.sha256}.*{PATH}: the lock wants"
    ) as caught:
        find()
    assert not isinstance(caught.value, GoneError)
    assert "zos image update" in (caught.value.hint or "")
    assert not cached_path(wanted_files(make_lock(PACKAGE))[0]).exists()


def test_a_vanished_package_comes_from_the_snapshot_service(mirror: Mirror) -> None:
    mirror.files[OLD_PATH] = GOOD
    assert find() == [GOOD]
    assert list(mirror.asked) == [PATH, OLD_PATH]


def test_a_package_that_nobody_has_is_named(mirror: Mirror) -> None:
    with pytest.raises(GoneError, match=f"cannot fetch one 1.0.*{PATH}: the server answers 404"):
        find()
    mirror.files[OLD_PATH] = b"x" * len(GOOD)
    with pytest.raises(PoolError, match=r"and it has [0-9a-f]{64}") as caught:
        find()
    assert not isinstance(caught.value, GoneError)


def test_a_mirror_that_can_not_be_reached_is_no_lie(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MIRROR", "http://127.0.0.1:1")
    monkeypatch.setattr(fetch, "SNAPSHOT", "http://127.0.0.1:1")
    with pytest.raises(GoneError, match=r"cannot be reached: .*refused"):
        find()


def test_a_security_update_is_looked_for_where_it_moves() -> None:
    urls = package_urls("pool/updates/main/l/linux/linux_1~x+y_amd64.deb", SNAPSHOT)
    assert [url.split("/", 3)[3] for url in urls] == [
        "debian-security/pool/updates/main/l/linux/linux_1~x+y_amd64.deb",
        "debian/pool/main/l/linux/linux_1~x+y_amd64.deb",
        f"archive/debian-security/{SNAPSHOT}/pool/updates/main/l/linux/linux_1~x+y_amd64.deb",
    ]


def test_a_mirrors_folder_is_used_alone(mirror: Mirror, tmp_path: Path) -> None:
    two = lock_package("two", b"second")
    mirror.files |= {PATH: GOOD, f"/debian/{two.path}": b"second"}
    folder = tmp_path / "mirror"
    wanted = wanted_files(make_lock(PACKAGE, two))
    places = find_files(wanted)
    assert list(fill_mirror(folder, wanted, places)) == [PACKAGE.path, two.path]
    assert list(fill_mirror(folder, wanted, places)) == []
    (folder / two.path).write_bytes(b"secomd")
    assert list(fill_mirror(folder, wanted, places)) == [two.path]
    asked = mirror.asked.total()
    for path in places.values():
        path.unlink()
    assert find(PACKAGE, two, mirror=folder) == [GOOD, b"second"]
    (folder / two.path).write_bytes(b"secomd")
    with pytest.raises(
        PoolError, match=f"{two.path} for two 1.0: the lock wants SHA-256"
    ) as caught:
        find(PACKAGE, two, mirror=folder)
    assert caught.value.hint == f"fill the folder again: zos image mirror {folder}"
    (folder / two.path).unlink()
    with pytest.raises(
        PoolError, match=f"two 1.0 is locked with SHA-256 {two.sha256}, but .* No such"
    ):
        find(PACKAGE, two, mirror=folder)
    assert mirror.asked.total() == asked


def test_ctrl_c_waits_for_no_server(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, free = threading.Event(), threading.Event()

    def hang(*_: object) -> Path:
        reached.set()
        free.wait(60)
        raise AssertionError

    def interrupt(*_: object) -> dict[str, Path]:
        assert reached.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "fetch_file", hang)
    monkeypatch.setattr(pool, "collect", interrupt)
    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            find()
        assert time.monotonic() - began < 30
    finally:
        free.set()


def test_files_that_nobody_uses_go(mirror: Mirror) -> None:
    mirror.files[PATH] = GOOD
    find()
    two = lock_package("two", b"second")
    mirror.files[f"/debian/{two.path}"] = b"second"
    path = cached_path(Wanted("", "", 0, PACKAGE.sha256))
    os.utime(path, (0, time.time() - pool.UNUSED_MAX_S - 60))
    find(two)
    assert not path.exists()
