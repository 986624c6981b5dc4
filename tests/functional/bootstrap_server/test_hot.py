"""What is answered below ASGI: the same as above it, and only as long as it is true.

An address with an empty query is answered by the application.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.channels.bootable import KINDS as OF_RELEASES
from bootstrap_server.images.kinds import KINDS
from bootstrap_server.images.template import load_templates
from bootstrap_server.settings import Settings
from bootstrap_server.web import boot, hot
from bootstrap_server.web.app import create_app
from serving.content import Pieces
from serving.fast.cycle import Finder, Found
from serving.fast.head import Head
from serving.listen import open_listener
from serving.pools import Pool
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool
from tests.helpers.releases.store import Maintainer, write_release
from tests.helpers.serving.plain import ask_plainly

pytestmark = pytest.mark.timeout(900)
ADDRESS = ("", "/dev", "/dev/", "/dev/1", "/dev/1.img", "/dev/4711/zos-debug+console=ttyS1/")
IMAGES = [
    f"/{name}{place}"
    for name, kind in KINDS.items()
    for place in (ADDRESS[1:] if kind.max_parts else ADDRESS[:1])
]
OTHER_FORMS = {path for path in IMAGES if "/dev" in path and not path.endswith("/dev/1")}
ODD = [
    *("/", "/usb", "/usb/", "/usb/dev//x", "/usb/none/1", "/usb/dev/0", "/usb/dev/01", "/usb/qa/1"),
    *("/usb/dev/1.sha256", "/usb/dev/1/no-such-parameter=1", "/usb/dev/1/-/0.9", "/usb/dev/1//0.9"),
    *("/usb/dev/1/a/b/c", "/krn/dev/1//0.9", "/uki/dev", "/nothing/dev/1", "/usb-provision/dev"),
]
FILES = [
    *("/kernel/dev/vmlinuz", "/kernel/dev/initramfs.zst", "/kernel/dev/manifest.json"),
    *("/kernel/dev/{it}/vmlinuz", "/kernel/dev/{it}/initramfs.zst", "/kernel/dev/{it}/other"),
    *("/kernel/dev/release.ipxe", "/kernel/dev/{it}/release.ipxe", "/kernel/qa/vmlinuz"),
    *("/kernel/own.efi", "/kernel/link.efi", "/kernel/none.efi", "/kernel/..", "/kernel/dev/.."),
    *("/kernel/none/vmlinuz", "/kernel/dev/none", "/channel/targets/dev/none"),
    *("/channel/targets/dev/{digest}.vmlinuz", "/channel/metadata/timestamp.json"),
]
REQUESTS: list[tuple[str, list[str]]] = [
    ("HEAD", []),
    ("GET", []),
    *(
        ("GET", headers)
        for headers in (
            ["Range: bytes=3-7"],
            ["Range: bytes=-5"],
            ["Range: bytes=99999999999-"],
            ["Range: bytes=2-9", "If-Range: {etag}"],
            ["Range: bytes=2-9", 'If-Range: "other"'],
            ["If-None-Match: W/{etag}"],
            ["If-None-Match: *"],
        )
    ),
    *(
        ("HEAD", headers)
        for headers in (
            ["Range: bytes=3-7"],
            ["If-None-Match: {etag}"],
            ["Accept: text/html,*/*"],
            ["User-Agent: UefiHttpBoot/1.0"],
            ["Connection: close"],
            ["Cookie: a=b", "Authorization: Bearer x"],
        )
    ),
]
HOT_KINDS = [name for name, kind in KINDS.items() if kind.source not in OF_RELEASES]


@dataclass
class Site:
    """A server in this process; `found` has the routes of what was answered below ASGI."""

    address: tuple[str, int]
    change: Any  # who publishes
    identity: str = ""
    digest: str = ""
    found: list[str] = field(default_factory=list)

    def ask(self, target: str, method: str = "GET", *headers: str) -> tuple[list[str], bytes]:
        return ask_plainly(self.address, target, method, *headers)

    def is_hot(self, path: str) -> bool:
        """Ask, and return whether that was answered below ASGI."""
        before = len(self.found)
        self.ask(path, "HEAD")
        return len(self.found) > before

    def etag(self, path: str) -> str:
        """Return what the application calls the content."""
        rows, _ = self.ask(f"{path}?", "HEAD")
        return next((row.partition(" ")[2] for row in rows if row.startswith("etag:")), '"none"')

    def learn(self) -> None:
        """Read the current release."""
        _, script = self.ask("/kernel/dev/release.ipxe")
        self.identity = script.decode().split("set release ")[1].split()[0]


def note_found(find: Finder, found: list[str]) -> Finder:
    def noting(head: Head) -> Found | None:
        answer = find(head)
        if answer:
            found.append(answer.route)
        return answer

    return noting


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def start(stack: ExitStack, settings: dict[str, Any], change: Any) -> Site:
    """Serve until the end of the test."""
    need_tool("apt-get")
    app = create_app(Settings("http://boot.example", "http://hub.example", **settings))
    app.state.server.templates.get()
    listener = open_listener("127.0.0.1", 0)
    site = Site(listener.getsockname()[:2], change)
    app.state.kit.find = note_found(app.state.kit.find, site.found)
    stack.enter_context(serve_in_thread(app, listener))
    site.learn()
    return site


def kernels_in(folder: Path) -> Path:
    folder.mkdir()
    (folder / "own.efi").write_bytes(b"own" * 50_000)
    (folder / "link.efi").symlink_to("own.efi")
    (folder / "outside.efi").symlink_to("/etc/passwd")
    return folder


def serve_store(stack: ExitStack, top: Path) -> Site:
    maintainer = Maintainer.begin(top / "maintainer")
    maintainer.publish("dev", "0.9")
    maintainer.publish("dev", "1.0")
    settings = {
        "store": maintainer.layout.top,
        "root": maintainer.root,
        "state": top / "state",
        "kernels": kernels_in(top / "kernels"),
    }
    site = start(stack, settings, maintainer)
    site.digest = maintainer.read("dev").files["vmlinuz"].sha256
    return site


def serve_folder(stack: ExitStack, top: Path) -> Site:
    releases = top / "releases"
    write_release(releases / "dev", "1.0")
    (releases / "dev" / "zos.efi").write_bytes(load_templates()["uefi-generic"].data)
    return start(stack, {"releases": releases, "kernels": kernels_in(top / "kernels")}, releases)


@pytest.mark.parametrize("serve", [serve_store, serve_folder])
def test_both_ways_give_the_same(
    stack: ExitStack, tmp_path: Path, serve: Callable[[ExitStack, Path], Site]
) -> None:
    site = serve(stack, tmp_path)
    files = [path.format(it=site.identity, digest=site.digest) for path in FILES]
    for path in (*IMAGES, *ODD, *files):
        etag = site.etag(path)
        for method, headers in REQUESTS[: 1 if path in OTHER_FORMS else None]:
            lines = [line.format(etag=etag) for line in headers]
            fast, slow = (site.ask(path + end, method, *lines) for end in ("", "?"))
            assert fast == slow, (path, method, lines)
    routes = {f"/{name}" for name in HOT_KINDS} | {"/kernel"}
    assert {f"/{route.split('/')[1]}" for route in site.found} - {"/channel"} == routes


def test_a_cached_image_is_refused_once_nothing_boots(stack: ExitStack, tmp_path: Path) -> None:
    site = serve_store(stack, tmp_path)
    assert site.is_hot("/usb/dev/1")
    site.change.publish("dev", "1.1")
    assert site.ask("/usb/dev/1") == site.ask("/usb/dev/1?")
    assert site.is_hot("/usb/dev/1")
    for version in ("0.9", "1.0", "1.1"):
        site.change.withdraw(version)
    assert site.ask("/usb/dev/1")[0][0] == "HTTP/1.1 404 Not Found"
    assert not site.is_hot("/usb/dev/1")


def test_the_files_of_a_channel_change_with_it(stack: ExitStack, tmp_path: Path) -> None:
    site = serve_store(stack, tmp_path)
    before = site.identity
    for path in ("/kernel/dev/vmlinuz", f"/kernel/dev/{before}/vmlinuz"):
        assert site.ask(path)[1].startswith(b"vmlinuz of 1.0")
        assert site.is_hot(path)
    site.change.publish("dev", "1.1")
    assert site.ask("/kernel/dev/vmlinuz")[1].startswith(b"vmlinuz of 1.1")
    assert site.ask(f"/kernel/dev/{before}/vmlinuz")[1].startswith(b"vmlinuz of 1.0")
    site.learn()
    assert site.ask(f"/kernel/dev/{site.identity}/vmlinuz")[1].startswith(b"vmlinuz of 1.1")
    assert site.is_hot("/kernel/dev/vmlinuz")


def test_the_current_release_is_named_without_a_thread(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = serve_store(stack, tmp_path)
    names: list[str] = []
    real = Pool.run

    async def run(pool: Pool, call: Any, *words: Any) -> Any:
        names.append(call.__name__)
        return await real(pool, call, *words)

    monkeypatch.setattr(Pool, "run", run)
    before = site.identity
    site.learn()
    assert (names, site.identity) == ([], before)
    site.change.publish("dev", "1.1")
    site.learn()
    site.learn()
    assert names == ["find"]
    assert site.identity != before


def test_the_files_of_a_folder_change_with_it(stack: ExitStack, tmp_path: Path) -> None:
    site = serve_folder(stack, tmp_path)
    pinned = f"/kernel/dev/{site.identity}/vmlinuz"
    assert site.is_hot("/kernel/dev/vmlinuz")
    assert site.is_hot(pinned)
    kernel = site.change / "dev" / "vmlinuz"
    kernel.write_bytes(b"another kernel")
    (site.change / "dev" / "manifest.json").unlink()
    assert not site.is_hot(pinned)
    assert site.ask("/kernel/dev/vmlinuz")[1] == b"another kernel"
    assert site.ask(pinned)[0][0] == "HTTP/1.1 404 Not Found"
    assert site.is_hot("/kernel/dev/vmlinuz")
    kernel.unlink()
    assert site.ask("/kernel/dev/vmlinuz")[0][0] == "HTTP/1.1 404 Not Found"
    assert site.ask("/iso/dev/1")[0][0] == "HTTP/1.1 404 Not Found"


def test_own_kernels_are_those_of_the_folder(stack: ExitStack, tmp_path: Path) -> None:
    site = serve_folder(stack, tmp_path)
    assert site.ask("/kernel/link.efi")[1] == b"own" * 50_000
    assert site.is_hot("/kernel/link.efi")
    assert site.ask("/kernel/outside.efi")[0][0] == "HTTP/1.1 404 Not Found"
    (tmp_path / "kernels" / "new.efi").write_bytes(b"new")
    link = tmp_path / "kernels" / "link.efi"
    link.unlink()
    link.symlink_to("new.efi")
    assert site.ask("/kernel/link.efi")[1] == b"new"
    assert site.is_hot("/kernel/link.efi")


def test_images_are_kept_in_a_bounded_number(
    stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hot, "IMAGES_KEPT", 3)
    made = []
    real = boot.make_lasting

    def make(*words: Any) -> Pieces:
        made.append(words)
        return real(*words)

    monkeypatch.setattr(hot, "make_lasting", make)
    site = serve_folder(stack, tmp_path)
    for farm in (1, 1, 2, 3, 4, 4, 1):
        assert site.ask(f"/ipxe/dev/{farm}")[1] == site.ask(f"/ipxe/dev/{farm}?")[1]
    assert len(made) == 5
