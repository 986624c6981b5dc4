"""`zos hub serve` over real HTTP, and mounts whose hub starts and stops."""

import hashlib
import http.client
import os
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flist.store.defaults import DEFAULT_WAIT_S
from tests.helpers.flist.mount import (
    END_WITHIN_S,
    free_port,
    mounted,
    rfs,
    rfs_daemon,
    serving,
)
from tests.helpers.flist.trees import describe, make_small_tree
from tests.helpers.waiting import wait_until


@pytest.fixture(name="hub_root")
def make_hub(tmp_path: Path) -> Path:
    """Make a hub folder with one signed flist."""
    tree = make_small_tree(tmp_path / "tree")
    root = tmp_path / "hub"
    (root / "flists" / "tf-zos").mkdir(parents=True)
    meta = root / "flists" / "tf-zos" / "development.fl"
    rfs("pack", "-m", meta, "-s", f"dir://{root}/blocks", tree)
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "tf-zos/development")
    return root


def ask(
    url: str, path: str, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """Send one request exactly as written, dots and percent signs included."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_urls(hub_root: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    block = next((hub_root / "blocks").glob("*/*"))
    with serving(hub_root) as hub:
        response, body = ask(hub.url, "/tf-zos/development.fl")
        assert body == meta.read_bytes()
        etag = response.headers["ETag"]
        assert etag == f'"{hashlib.sha256(body).hexdigest()}"'
        assert response.headers["Cache-Control"] == "no-cache"
        response, body = ask(hub.url, "/tf-zos/development.fl", headers={"If-None-Match": etag})
        assert (response.status, body) == (304, b"")
        response, body = ask(hub.url, "/tf-zos/development.fl", "HEAD")
        assert response.headers["Content-Length"] == str(meta.stat().st_size)
        assert body == b""
        assert ask(hub.url, "/tf-zos/development.fl.sig")[1].startswith(
            b"name: tf-zos/development\n"
        )
        for path in (f"/blocks/{block.name[:2]}/{block.name}", f"/api/v1/block/{block.name}"):
            response, body = ask(hub.url, path)
            assert body == block.read_bytes()
            assert response.headers["ETag"] == f'"{block.name}"'
            assert "immutable" in response.headers["Cache-Control"]
            assert ask(hub.url, path, "HEAD")[0].status == 200
            response, body = ask(hub.url, path, headers={"Range": "bytes=2-5"})
            assert (response.status, body) == (206, block.read_bytes()[2:6])
        assert ask(hub.url, "/api/flist")[1] == b'["tf-zos/development.fl"]'


HOSTILE = [
    "/tf-zos/nothing.fl", "/tf-zos/../tf-zos/development.fl", "/../../etc/passwd",
    "/..%2f..%2fetc/passwd", "/tf-zos/%2e%2e%2f%2e%2e%2fblocks", "/tf-zos/..%2fdevelopment.fl",
    "/blocks/zz/" + "z" * 64, "/blocks/ab/../../flists", "/blocks/00/" + "0" * 64,
    "/blocks/00/" + "0" * 63, "/blocks/00/" + "A" * 64, "/api/v1/block/xyz",
    "/api/v1/block/" + "0" * 65, "/blocks/..%2f..%2fetc%2fpasswd", "/%00/%00.fl",
    "/tf-zos/development.fl%00", "/.hidden/x.fl", "/tf-zos/.development.fl.x.tmp",
]  # fmt: skip


def test_hostile_paths_are_refused(hub_root: Path) -> None:
    (hub_root / "flists" / ".hidden").mkdir()
    (hub_root / "flists" / ".hidden" / "x.fl").write_text("secret")
    with serving(hub_root) as hub:
        for path in HOSTILE:
            status = ask(hub.url, path)[0].status
            assert 400 <= status < 500, f"{path}: {status}"
        assert ask(hub.url, "/tf-zos/development.fl", "POST")[0].status == 405


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_hub_with_status_0(hub_root: Path, number: signal.Signals) -> None:
    with serving(hub_root) as hub:
        hub.process.send_signal(number)
        assert hub.process.wait(END_WITHIN_S) == 0


def test_mount_over_http_fetches_lazily_and_caches(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    cache = tmp_path / "cache"
    with serving(hub_root) as hub:
        words: list[str | Path] = ["--store", f"{hub.url}/blocks", "-c", cache]
        with mounted(meta, tmp_path / "m", *words) as mount:
            assert not list(cache.glob("*/*"))
            assert (mount.path / "sub" / "text").read_text() == "hello\n" * 1000
            assert len(list(cache.glob("*/*"))) == 1
            assert describe(mount.path) == describe(tmp_path / "tree")
    # All blocks are cached now, so the next mount needs no hub.
    with mounted(meta, tmp_path / "m", *words, "--offline") as mount:
        assert describe(mount.path) == describe(tmp_path / "tree")


def test_damaged_cache_is_fetched_again(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    cache = tmp_path / "cache"
    with serving(hub_root) as hub:
        words: list[str | Path] = ["--store", f"{hub.url}/blocks", "-c", cache]
        with mounted(meta, tmp_path / "m", *words) as mount:
            expected = describe(mount.path)
        for number, path in enumerate(sorted(cache.glob("*/*"))):
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.write_bytes((b"", data[:-1], data, data + b"x")[number % 4])
        with mounted(meta, tmp_path / "m", *words) as mount:
            assert describe(mount.path) == expected


@pytest.mark.parametrize("adapter", ["raw", "library"])
def test_mount_waits_for_a_hub_that_is_down(hub_root: Path, tmp_path: Path, adapter: str) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    port = free_port()
    words: list[str | Path] = [
        "--store",
        f"http://127.0.0.1:{port}/blocks",
        "-c",
        tmp_path / "cache",
        "--wait",
        "600",
    ]
    with mounted(meta, tmp_path / "m", "--adapter", adapter, *words) as mount:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.append((mount.path / "one").read_bytes()))
        thread.start()
        # Requests that need no block are answered meanwhile.
        assert len(list(mount.path.iterdir())) == 11
        thread.join(1)
        assert thread.is_alive()
        with serving(hub_root, f"127.0.0.1:{port}"):
            thread.join(60)
        assert got == [(tmp_path / "tree" / "one").read_bytes()]


def test_a_mount_returns_io_errors_when_the_wait_is_over(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    words: list[str | Path] = [
        "--store",
        f"http://127.0.0.1:{free_port()}/blocks",
        "-c",
        tmp_path / "cache",
    ]
    with mounted(meta, tmp_path / "m", *words, "--wait", "1") as mount:
        started = time.monotonic()
        for name in ("one", "big", "sub/text"):
            with pytest.raises(OSError, match="Input/output error"):
                (mount.path / name).read_bytes()
        assert 0.9 < time.monotonic() - started < DEFAULT_WAIT_S / 2
        assert (mount.path / "empty").read_bytes() == b""


def test_a_killed_reader_does_not_block_the_mount(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    words: list[str | Path] = [
        "--store",
        f"http://127.0.0.1:{free_port()}/blocks",
        "-c",
        tmp_path / "cache",
    ]
    with mounted(meta, tmp_path / "m", *words, "--wait", "600") as mount:
        child = os.fork()
        if child == 0:
            try:
                (mount.path / "big").read_bytes()
            finally:
                os._exit(0)
        time.sleep(0.5)
        os.kill(child, signal.SIGKILL)
        wait_until(lambda: os.waitpid(child, os.WNOHANG) != (0, 0), "the killed reader's end")
        mount.process.send_signal(signal.SIGTERM)
        assert mount.process.wait(END_WITHIN_S) == 0


def test_a_mount_requires_the_signature(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    words: list[str | Path] = ["--store", f"dir://{hub_root}/blocks", "--key", tmp_path / "key.pub"]
    with mounted(meta, tmp_path / "m", *words, "--name", "tf-zos/development") as mount:
        assert (mount.path / "one").exists()
    other = rfs(
        "unpack", "-m", meta, *words, "--name", "tf-zos/production", tmp_path / "out", check=False
    )
    assert other.returncode == 1
    assert "signed as" in other.stderr
    data = bytearray(meta.read_bytes())
    data[len(data) // 2] ^= 1
    meta.write_bytes(data)
    for command in ("mount", "unpack", "verify"):
        target: list[str | Path] = [] if command == "verify" else [tmp_path / "m"]
        done = rfs(command, "-m", meta, *words, *target, check=False)
        assert done.returncode == 1
        assert "not the file that was signed" in done.stderr
    assert not (tmp_path / "out").exists()


def test_daemon_mount(hub_root: Path, tmp_path: Path) -> None:
    meta = hub_root / "flists" / "tf-zos" / "development.fl"
    target = tmp_path / "m"
    target.mkdir()
    words = ("-m", meta, "-c", tmp_path / "cache", "-l", tmp_path / "log", target)
    rfs_daemon(*words)
    lines = [line.split(" ") for line in Path("/proc/mounts").read_text().splitlines()]
    ((source, _, kind, options, *_),) = [words for words in lines if words[1] == str(target)]
    try:
        assert kind == "fuse.g8ufs"
        assert {"ro", "allow_other", "default_permissions"} <= set(options.split(","))
        assert "mount" in Path(f"/proc/{source}/cmdline").read_text().split("\0")
        again = rfs_daemon(*words, check=False)
        assert again.returncode == 1
        assert "mounted there" in again.stderr
    finally:
        os.kill(int(source), signal.SIGTERM)
    wait_until(lambda: f" {target} " not in Path("/proc/mounts").read_text(), "the mount's end")
    bad = rfs_daemon("-m", tmp_path / "log", target, check=False)
    assert bad.returncode == 1
    assert "not a .fl file" in bad.stderr
