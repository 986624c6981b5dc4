"""Locked inputs with the real tools: apt, a network that is not there, another user."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.debian import fetch, resolve
from common.debian.fetch import fetch_locked
from common.debian.resolve import ResolveError
from tests.helpers.child import NOBODY, become_nobody, run_in_child
from tests.helpers.debian import Mirror, lock_package, make_lock, serve_mirror, simple_deb
from tests.helpers.needs import need_root, need_tool


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """Serve a mirror; nothing else can be reached."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_mirror() as found:
        for module, name in ((fetch, "MIRROR"), (fetch, "SNAPSHOT"), (resolve, "MIRROR")):
            monkeypatch.setattr(module, name, found.url)
        yield found


def test_root_and_another_user_get_the_same_archive(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_root()
    deb = simple_deb({"usr/bin/a": b"a", "etc/b": b"b"})
    locked = make_lock(lock_package("one", deb))
    mirror.files[f"/debian/{locked.packages[0].path}"] = deb
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    by_root = fetch_locked(locked)

    def fetch_as_nobody() -> None:
        os.umask(0o077)
        become_nobody()
        fetch_locked(locked)

    with tempfile.TemporaryDirectory(dir="/tmp") as other:  # below a folder that all may enter
        os.chown(other, NOBODY, NOBODY)
        monkeypatch.setenv("ZOS_CACHE", other)
        run_in_child(fetch_as_nobody)
        (by_other,) = (Path(other) / "debian").glob("*.tar")
        assert by_other.stat().st_uid == NOBODY
        assert by_other.read_bytes() == by_root.read_bytes()


def test_apt_resolves_apart_from_the_hosts_apt(tmp_path: Path) -> None:
    need_tool("apt-get")
    host = [Path("/var/lib/apt/lists"), Path("/var/cache/apt"), Path("/var/lib/dpkg/status")]
    before = [path.stat().st_mtime_ns for path in host]
    lock = resolve.resolve(["libgcc-s1"], architecture="arm64")
    assert [package.name for package in lock.packages] == ["gcc-14-base", "libc6", "libgcc-s1"]
    assert {package.architecture for package in lock.packages} == {"arm64"}
    assert [path.stat().st_mtime_ns for path in host] == before


def test_a_package_that_does_not_exist_is_named() -> None:
    need_tool("apt-get")
    with pytest.raises(ResolveError, match="no-such-package") as caught:
        resolve.resolve(["no-such-package"])
    assert "check their names" in (caught.value.hint or "")


def test_package_lists_without_debians_signature_are_refused(mirror: Mirror) -> None:
    need_tool("apt-get")
    release = b"Origin: Debian\nSuite: forky\nCodename: forky\nComponents: main\n"
    release += b"Architectures: amd64\nDate: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n"
    mirror.files["/debian/dists/forky/Release"] = release
    with pytest.raises(ResolveError, match=r"is not signed|NO_PUBKEY|no longer signed"):
        resolve.resolve(["ipxe"], suite="forky")
    assert mirror.asked["/debian/dists/forky/InRelease"] > 0
