"""Kernel and initramfs come from one release, also while another is being published."""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
from pathlib import Path

import pytest
from fastapi import FastAPI

from bootstrap_server.channels.releases import open_release_file
from bootstrap_server.channels.sources import FolderSource
from bootstrap_server.errors import NotReadyError, NotThereError
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from serving.content import BeingWrittenError, FileOpener, OpenFile
from tests.helpers.asgi import ask
from tests.helpers.ipxe.grammar import read_commands

KERNEL = "/kernel/dev/vmlinuz"


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """Return the folder of the channel dev, with a release that has no manifest."""
    folder = tmp_path / "dev"
    folder.mkdir()
    publish(folder, "vmlinuz", b"old kernel")
    publish(folder, "initramfs.zst", b"old initramfs")
    return folder


@pytest.fixture
def app(channel: Path) -> FastAPI:
    return create_app(Settings("http://boot.example", "http://hub.example", channel.parent))


class CountingOpener(FileOpener):
    """Counts the files that it opens."""

    count = 0

    def open(self, path: Path, etag: str | None = None) -> OpenFile:
        self.count += 1
        return super().open(path, etag)


def publish(channel: Path, name: str, data: bytes) -> None:
    """Replace a file atomically, as publishing does."""
    new = channel / f".{name}.new"
    new.write_bytes(data)
    new.replace(channel / name)


def publish_manifest(channel: Path, version: str) -> None:
    """Write the manifest of the files in the channel."""
    files = {
        name: {"sha256": hashlib.sha256((channel / name).read_bytes()).hexdigest()}
        for name in ("vmlinuz", "initramfs.zst")
    }
    text = json.dumps({"version": version, "files": files})
    publish(channel, "manifest.json", text.encode())


def current_release(app: FastAPI) -> str:
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    (command,) = [c for c in read_commands(answer.text) if c.name == "set"]
    name, release = command.arguments
    assert name == "release"
    return release


def test_a_named_release_serves_its_files(app: FastAPI) -> None:
    release = current_release(app)
    answer = ask(app, f"/kernel/dev/{release}/vmlinuz")
    assert (answer.status, answer.text) == (200, "old kernel")
    assert "immutable" in answer.headers["cache-control"]
    assert ask(app, f"/kernel/dev/{release}/initramfs.zst").text == "old initramfs"


@pytest.mark.parametrize("replaced", ["vmlinuz", "initramfs.zst"])
def test_a_release_that_is_replaced_between_two_requests(
    app: FastAPI, channel: Path, replaced: str
) -> None:
    release = current_release(app)
    publish(channel, replaced, b"new")
    for name in ("vmlinuz", "initramfs.zst"):
        answer = ask(app, f"/kernel/dev/{release}/{name}")
        assert answer.status == 404
        assert "/kernel/dev/release.ipxe" in answer.text
    again = current_release(app)
    assert again != release
    assert ask(app, f"/kernel/dev/{again}/{replaced}").text == "new"
    assert ask(app, f"/kernel/dev/{replaced}").text == "new"  # upstream's addresses stay


def test_no_release_is_named_while_one_is_being_published(app: FastAPI, channel: Path) -> None:
    publish_manifest(channel, "1.0+0123")
    assert "release 1.0+0123" in ask(app, "/kernel/dev/release.ipxe").text
    publish(channel, "vmlinuz", b"new kernel")
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert answer.status == 503
    assert "being published" in answer.text
    publish_manifest(channel, "1.0+4567")
    assert "release 1.0+4567" in ask(app, "/kernel/dev/release.ipxe").text


def test_a_release_is_looked_for_again_when_a_file_changes_and_only_then(channel: Path) -> None:
    opener = CountingOpener()
    source = FolderSource(channel.parent, opener)
    found = [source.find("dev")]
    opened = opener.count
    assert source.find("dev") == found[0]
    assert opener.count == opened
    publish(channel, "vmlinuz", b"new kernel")
    found.append(source.find("dev"))
    state = (channel / "vmlinuz").stat()
    (channel / "vmlinuz").write_bytes(b"NEW KERNEL")
    os.utime(channel / "vmlinuz", ns=(state.st_atime_ns, state.st_mtime_ns))
    found.append(source.find("dev"))
    publish_manifest(channel, "1.0")
    found.append(source.find("dev"))
    assert len(set(found)) == 4
    publish(channel, "initramfs.zst", b"")
    with pytest.raises(NotReadyError):
        source.find("dev")
    (channel / "initramfs.zst").unlink()
    with pytest.raises(NotThereError):
        source.find("dev")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 60_000, '{"version": 1, "files": []}', "\xff"]
)
def test_a_manifest_that_cannot_be_parsed(app: FastAPI, channel: Path, text: str) -> None:
    publish(channel, "manifest.json", text.encode("latin-1"))
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert answer.status == 503
    assert "manifest" in answer.text


@pytest.mark.parametrize("version", ["x\nreboot", "${net0/mac}", "a b", "v" * 65, ""])
def test_a_version_that_is_not_safe_in_a_script(app: FastAPI, channel: Path, version: str) -> None:
    release = current_release(app)
    publish_manifest(channel, version)
    text = ask(app, "/kernel/dev/release.ipxe").text
    assert text.splitlines() == [
        "#!ipxe",
        f"set release {release}",
        f"echo Zero-OS: release {release[:12]}",
    ]


def test_a_channel_without_a_release(app: FastAPI, channel: Path) -> None:
    (channel / "vmlinuz").unlink()
    for path in ("dev/release.ipxe", "qa/release.ipxe", f"dev/{'0' * 32}/initramfs.zst"):
        assert ask(app, f"/kernel/{path}").status == 404
    assert ask(app, "/kernel/nothing/release.ipxe").status == 404


def test_a_release_serves_only_boot_files(app: FastAPI, channel: Path) -> None:
    publish_manifest(channel, "1.0")
    release = current_release(app)
    for name in ("manifest.json", "..%2fvmlinuz", "release.ipxe"):
        assert ask(app, f"/kernel/dev/{release}/{name}").status == 404
    assert ask(app, f"/kernel/dev/{release.upper()}x/vmlinuz").status == 404


def test_a_release_that_is_written_over_is_never_sent_in_part(channel: Path) -> None:
    """`cp new vmlinuz` keeps the file and changes its bytes while a node reads them."""
    size = 300_000
    publish(channel, "vmlinuz", b"o" * size)
    opener = FileOpener()
    file = open_release_file(channel.parent, "dev", "vmlinuz", opener)
    with contextlib.closing(file):
        assert asyncio.run(file.read(0, 1000)) == b"o" * 1000
        (channel / "vmlinuz").write_bytes(b"n" * size)
        with pytest.raises(OSError, match="written to"):
            asyncio.run(file.read(1000, 1000))
    again = open_release_file(channel.parent, "dev", "vmlinuz", opener)
    with contextlib.closing(again):
        assert again.etag != file.etag
        assert asyncio.run(again.read(0, 10)) == b"n" * 10


def test_a_release_that_is_replaced_or_linked_is_sent_to_its_end(channel: Path) -> None:
    file = open_release_file(channel.parent, "dev", "vmlinuz", FileOpener())
    with contextlib.closing(file):
        (channel / "kept").hardlink_to(channel / "vmlinuz")
        assert asyncio.run(file.read(0, 3)) == b"old"
        publish(channel, "vmlinuz", b"new kernel")
        (channel / "kept").unlink()
        assert asyncio.run(file.read(3, 7)) == b" kernel"


def test_a_file_that_is_always_being_written_is_not_opened(
    channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.content.SETTLED_S", 1e12)
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(BeingWrittenError):
        open_release_file(channel.parent, "dev", "vmlinuz", FileOpener())


def is_bootable(app: FastAPI) -> bool:
    """Return what /ready says of the channel dev; the page and release.ipxe agree."""
    found: bool = json.loads(ask(app, "/ready").body)["channels"]["dev"]
    assert (ask(app, "/kernel/dev/release.ipxe").status == 200) is found
    assert (ask(app, "/").text.count("no release on this server yet") == 3) is found
    return found


def test_ready_tells_which_channels_can_boot(app: FastAPI, channel: Path) -> None:
    assert is_bootable(app)
    publish_manifest(channel, "1.0")
    assert is_bootable(app)
    publish(channel, "vmlinuz", b"of another release")
    assert not is_bootable(app)
    publish_manifest(channel, "1.1")
    assert is_bootable(app)
    publish(channel, "manifest.json", b"{")
    assert not is_bootable(app)
    (channel / "manifest.json").unlink()
    publish(channel, "initramfs.zst", b"")
    assert not is_bootable(app)
    (channel / "initramfs.zst").unlink()
    (channel / "initramfs.zst").symlink_to("/dev/zero")
    assert not is_bootable(app)


def test_a_link_to_itself_is_a_channel_without_a_release(app: FastAPI, channel: Path) -> None:
    (channel.parent / "qa").symlink_to("qa")
    assert ask(app, "/kernel/qa/release.ipxe").status == 404
    assert ask(app, "/").status == 200
    assert json.loads(ask(app, "/ready").body)["channels"]["dev"]


def test_a_server_without_descriptors_does_not_call_a_file_absent(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(FileOpener, "open", refuse)
    for path in (KERNEL, "/kernel/dev/release.ipxe"):
        answer = ask(app, path)
        assert (answer.status, answer.headers.get("retry-after")) == (503, "1")
