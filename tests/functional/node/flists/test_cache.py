"""The cache on a real disk: what it keeps, and that no disk is trusted or needed."""

import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from common.mounts import unmount
from flist.format.signing.keys import load_private_key, public_text
from flist.hub.app import create_app
from node.flists.fetch import key_of
from node.flists.giving import Search
from node.flists.model import CORE, WORKLOAD, Flist, Wanted
from node.flists.prepare import Preparer
from node.model import BootParameters, NodeError
from node.problems import Problems
from node.status import describe_cache
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.node.disk import announce, loop_device, make_image
from tests.helpers.node.hub import make_signed_hub
from tests.helpers.waiting import wait_until

if TYPE_CHECKING:
    from node.flists.cache import DiskCache

NAME = "tf-zos/development"
WANTED = Wanted(WORKLOAD, NAME)
CONTENT = os.urandom(100_000)
SHUT_DOWN = 0x8004587D  # FS_IOC_SHUTDOWN of the kernel


class Node:
    """A node with a disk for the cache, whose hub may be away; each boot has a new RAM."""

    def __init__(self, top: Path, url: str, keys: Path) -> None:
        self.top = top
        self.parameters = BootParameters("dev", 1, (url,))
        self.keys = keys
        self.problems = Problems()
        self.boots = 0
        self.cache: DiskCache | None = None

    def boot(self) -> Preparer:
        """Mount the disk as a new boot does; nothing else is left of the last one."""
        unmount(self.top / "mounted")
        self.boots += 1
        self.problems = Problems()
        self.search = search = Search(self.problems, self.top / "mounted", self.top / "sys")
        search.start()
        self.cache = search.result()
        home = self.top / f"run{self.boots}"
        return Preparer(self.parameters, search.result, self.keys, home)

    def fetch(self, wanted: Wanted = WANTED) -> Flist:
        """Boot, fetch a flist, and wait until it is on the disk."""
        return self.boot().fetch(wanted)[0]

    def path(self, *names: str) -> Path:
        """Return a path on the disk."""
        return self.top.joinpath("mounted", "zero-os", *names)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return make_signed_hub(tmp_path, NAME, CONTENT)


@pytest.fixture
def app(hub: Path) -> CountedApp:
    return CountedApp(create_app(hub))


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    image = make_image(tmp_path / "disk.img", "ext4", "cache")
    with loop_device(image) as found:
        announce(tmp_path / "sys", found)
        yield found


@pytest.fixture
def node(
    hub: Path, app: CountedApp, device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Node]:
    keys = tmp_path / "flist.pub"
    keys.write_text(f"{public_text(load_private_key(hub.parent / 'key'))}\n")
    monkeypatch.setattr("node.flists.prepare.keep_soon", keep_now)
    listener = open_listener("127.0.0.1", 0)
    with serve_in_thread(app, listener):
        made = Node(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}", keys)
        yield made
    unmount(tmp_path / "mounted")


def keep_now(*words: object) -> None:
    """Keep a flist before the test goes on."""
    from node.flists.prepare import keep

    keep(*words)  # type: ignore[arg-type]


def test_the_second_boot_fetches_the_signature_alone(node: Node, app: CountedApp) -> None:
    first = node.fetch()
    assert node.path("flists", f"{first.sha256}.fl").read_bytes() == CONTENT
    assert app.requests[f"/{NAME}.fl"] == 1
    assert node.fetch().meta.read_bytes() == CONTENT
    assert app.requests[f"/{NAME}.fl"] == 1
    assert app.requests[f"/{NAME}.fl.sig"] == 2


def test_with_a_digest_nothing_is_fetched(node: Node, app: CountedApp) -> None:
    digest = node.fetch().sha256
    asked = app.requests.copy()
    wanted = Wanted(CORE, "another/name", digest, len(CONTENT))
    assert node.fetch(wanted).meta.read_bytes() == CONTENT
    assert app.requests == asked


def test_without_a_hub_the_last_flist_counts(
    node: Node, capsys: pytest.CaptureFixture[str]
) -> None:
    node.fetch()
    node.parameters = BootParameters("dev", 1, ("http://127.0.0.1:1",))
    assert node.fetch().meta.read_bytes() == CONTENT
    assert "using what the cache has" in capsys.readouterr().out
    with pytest.raises(NodeError, match="does not answer"):
        node.fetch(Wanted(WORKLOAD, "tf-zos/production"))


def test_a_changed_flist_is_fetched(node: Node, hub: Path, tmp_path: Path) -> None:
    first = node.fetch()
    (tmp_path / "new").mkdir()
    newer = make_signed_hub(tmp_path / "new", NAME, b"new" * 1000, tmp_path / "key")
    for suffix in (".fl", ".fl.sig"):
        data = (newer / "flists" / f"{NAME}{suffix}").read_bytes()
        (hub / "flists" / f"{NAME}{suffix}").write_bytes(data)
    second = node.fetch()
    assert second.meta.read_bytes() == b"new" * 1000
    assert {path.stem for path in node.path("flists").iterdir()} == {first.sha256, second.sha256}


def damage(path: Path) -> None:
    path.write_bytes(CONTENT[:-1] + b"!")


def make_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def make_huge(path: Path) -> None:
    with open(path, "wb") as stream:
        stream.truncate(1 << 36)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [damage, make_link, make_pipe, make_huge, make_folder])
def test_whatever_lies_in_a_flists_place_it_is_fetched(
    node: Node, app: CountedApp, harm: Callable[[Path], None]
) -> None:
    digest = node.fetch().sha256
    harm(node.path("flists", f"{digest}.fl"))
    wanted = Wanted(WORKLOAD, NAME, digest, len(CONTENT))
    assert node.fetch(wanted).meta.read_bytes() == CONTENT
    assert app.requests[f"/{NAME}.fl"] == 2


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"sha256": 1}', '{"sha256": "../../x"}'])
def test_whatever_is_kept_about_a_signature(node: Node, text: str) -> None:
    node.fetch()
    node.path("kept", f"{key_of(NAME)}.json").write_text(text)
    assert node.fetch().meta.read_bytes() == CONTENT


def test_a_folder_that_is_a_link_is_not_followed(node: Node, tmp_path: Path) -> None:
    node.boot()
    node.path("flists").rmdir()
    (tmp_path / "victim").mkdir()
    node.path("flists").symlink_to(tmp_path / "victim")
    preparer = node.boot()
    assert node.cache is None
    assert "cannot use the disk for the cache" in str(node.problems.rows())
    assert preparer.fetch(WANTED)[1].is_shared is False
    assert list((tmp_path / "victim").iterdir()) == []


def test_the_oldest_flists_make_room(node: Node) -> None:
    node.boot()
    assert node.cache
    size = node.cache.room.size // 16 // 3
    for number in range(5):
        flist = Flist(WORKLOAD, NAME, f"{number:016x}".ljust(64, "0"), home=node.top / "made")
        flist.top.mkdir(parents=True)
        flist.meta.write_bytes(bytes(size))
        node.cache.keep_flist(flist)
        os.utime(node.path("flists", f"{flist.sha256}.fl"), (number, number))
    left = sorted(int(path.stem[:16], 16) for path in node.path("flists").iterdir())
    assert left == [2, 3, 4]


def test_a_full_disk_is_told_and_harmless(node: Node) -> None:
    node.boot()
    assert node.cache
    with open(node.top / "mounted" / "others", "wb") as stream:
        found = os.statvfs(node.top / "mounted")
        os.posix_fallocate(stream.fileno(), 0, found.f_bavail * found.f_frsize - (1 << 20))
    flist = node.fetch()
    assert flist.meta.read_bytes() == CONTENT
    assert node.cache.fault() == "it is full, so nothing new is kept"


def test_a_disk_that_fails_is_told_and_harmless(node: Node) -> None:
    preparer = node.boot()
    assert node.cache
    handle = os.open(node.top / "mounted", os.O_RDONLY)
    fcntl.ioctl(handle, SHUT_DOWN, struct.pack("I", 2))  # as if its disk had been pulled
    os.close(handle)
    node.cache.look()
    assert node.cache.fault() == "it fails: Input/output error"
    assert preparer.fetch(WANTED)[0].meta.read_bytes() == CONTENT


def test_a_disk_that_hangs_is_told(node: Node) -> None:
    node.boot()
    assert node.cache
    node.cache.pending[object()] = time.monotonic() - 120
    assert node.cache.fault() == "it does not answer"


def test_a_disk_that_hangs_stops_nothing(
    node: Node, app: CountedApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once, and done without until it answers."""
    digest = node.fetch().sha256
    wanted = Wanted(WORKLOAD, NAME, digest, len(CONTENT))
    preparer, cache = node.boot(), node.cache
    assert cache
    answers = threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr("node.flists.cache.WITHIN_S", 0.2)
        patch.setattr(cache, "copy_flist", lambda *_: answers.wait())
        assert preparer.fetch(wanted)[0].meta.read_bytes() == CONTENT
        assert app.requests[f"/{NAME}.fl"] == 2
        assert (node.search.result(), node.search.fault()) == (None, "it does not answer")
        assert describe_cache(node.search)["place"] is None
        assert describe_cache(node.search)["fault"] == "it does not answer"
        assert cache.read(key_of(NAME)) == {}
        assert not preparer.fetch(wanted)[1].is_shared
        answers.set()
        wait_until(lambda: node.search.result() is cache, "it is used again")
    assert describe_cache(node.search)["fault"] == ""
    assert cache.read(key_of(NAME))["sha256"] == digest


def test_the_status_tells_a_disk_that_cannot_be_used_from_none(node: Node, device: Path) -> None:
    node.boot()
    node.path("flists").rmdir()
    node.path("flists").symlink_to("/etc")
    node.boot()
    assert node.cache is None
    found = describe_cache(node.search)
    assert found["place"] is None
    assert "cannot use the disk for the cache" in str(found["fault"])
    (node.top / "sys" / device.name / "uevent").unlink()
    node.boot()
    assert describe_cache(node.search)["fault"] == ""


def test_the_status_says_that_the_disk_is_being_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then nobody can know what is on it; nor after it was given up."""
    answers = threading.Event()
    monkeypatch.setattr("node.flists.giving.find_disk", lambda *_: answers.wait() and None)
    monkeypatch.setattr("node.flists.giving.WITHIN_S", 0.1)
    search = Search(Problems(), tmp_path / "mounted", tmp_path / "sys")
    search.start()
    assert search.fault() == "it is being looked for"
    assert search.result() is None
    assert "no answer within" in search.fault()
    answers.set()
