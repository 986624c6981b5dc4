"""Archives as flists: what is kept, and hostile ones."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flist.archive import limits as archive_limits
from flist.archive import sparse
from flist.archive.errors import ArchiveError, CancelledError
from flist.archive.limits import Limits
from flist.archive.pack import PackedArchive, pack_archive
from flist.errors import FlistError
from flist.format.contents import as_build_answer, walk_contents
from flist.format.opening import open_flist
from flist.model import CHUNK_BYTES, Inode, Route
from flist.store.sources import Sources
from flist.unpack.verify import verify
from tests.helpers.flist.registry import folder, hard, link, make_layer, member

Members = list[tuple[tarfile.TarInfo, bytes]]
BIG = os.urandom(1000) * 1312
ODD: Members = [
    member("hard", b"one\n"), hard("hard2", "hard"), link("dangling", "/no/where"),
    member("with space", b"s\n"), member("\u00fcn\u00ef", b"u\n"),
    member("pipe", type=tarfile.FIFOTYPE),
]  # fmt: skip
APP: Members = [
    folder("bin/"), member("bin/app", b"#!/bin/sh\necho app\n", mode=0o755), folder("etc/"),
    member("etc/app.conf", b"name=app\n"), member("empty"),
    member("big", b"0123456789abcdef" * 82000), link("app", "bin/app"),
]  # fmt: skip
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}  # fmt: skip


class OneWay(io.RawIOBase):
    """A stream that can't be sought, such as a body of a request; reads return a few bytes."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.inner.read(min(size, 70_000) if size >= 0 else 70_000)


def pack(data: bytes, output: Path, **options: Any) -> PackedArchive:
    stream = cast("BinaryIO", OneWay(data))
    return pack_archive(stream, output, routes(output), **options)


def routes(output: Path) -> list[Route]:
    return [Route(0, 255, f"dir://{output.parent}/blocks")]


def listing(output: Path) -> dict[str, Inode]:
    with open_flist(output) as flist:
        return {os.fsdecode(path): inode for path, inode in walk_contents(flist)}


def refused(data: bytes, tmp_path: Path, said: str, **options: Any) -> None:
    """Check that an archive is refused, and no flist written."""
    with pytest.raises(ArchiveError, match=said):
        pack(data, tmp_path / "a.fl", **options)
    assert not (tmp_path / "a.fl").exists()


@pytest.mark.parametrize(
    ("members", "answer"),
    [
        (ODD, {"regular": 4, "symlink": 1, "directory": 0, "special": 1, "fullsize": 12}),
        (APP, {"regular": 4, "symlink": 1, "directory": 2, "special": 0, "fullsize": 1312028}),
    ],
)
def test_the_numbers_are_those_of_upstreams_hub(
    tmp_path: Path, members: Members, answer: dict[str, int]
) -> None:
    """As recorded, but for directories, which upstream does not count correctly."""
    done = pack(gzip.compress(make_layer(*members)), tmp_path / "a.fl")
    assert as_build_answer(done.counts) == {
        "success": True, "error": None, "response": {**answer, "failure": 0}, "status": 0,
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".fl", ".flist"])
def test_every_kind_of_entry_is_kept(tmp_path: Path, suffix: str) -> None:
    data = make_layer(
        folder("./", mode=0o711, uid=5),
        member("a/implied/big", BIG, mode=0o4755, uid=1, gid=2, mtime=1_600_000_000),
        hard("again", "./a/implied/big"),
        link("l", "a/../../outside"),
        member("char", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("block", type=tarfile.BLKTYPE, devmajor=259, devminor=70000, mode=0o660),
        member("pipe", type=tarfile.FIFOTYPE, mode=0o600),
        member("twice", b"first"), member("twice", b"second one"),
        member("/absolute", b"x"),
    )  # fmt: skip
    output = tmp_path / f"a{suffix}"
    pack(zstandard.ZstdCompressor().compress(data), output, tags={"readme": "x"})
    found = listing(output)
    assert sorted(found) == sorted(
        ["/a", "/a/implied", "/a/implied/big", "/absolute", "/again", "/block", "/char", "/l",
         "/pipe", "/twice"]
    )  # fmt: skip
    big = found["/a/implied/big"]
    assert (big.mode, big.uid, big.gid, big.size) == (0o104755, 1, 2, len(BIG))
    assert big.mtime_ns == 1_600_000_000 * 10**9
    assert found["/char"].rdev == os.makedev(1, 3)
    assert (found["/block"].mode, found["/block"].rdev) == (0o60660, os.makedev(259, 70000))
    assert stat.S_ISFIFO(found["/pipe"].mode)
    assert found["/twice"].size == 10
    with open_flist(output) as flist:
        root = flist.inode(1)
        assert root is not None
        assert (root.mode, root.uid) == (0o40711, 5)
        assert flist.blocks(big.ino) == flist.blocks(found["/again"].ino)
        assert len(flist.blocks(big.ino)) == 3
        assert len(flist.blocks(big.ino)[0].id) == (32 if suffix == ".fl" else 16)
        assert flist.meta(found["/l"].ino).target == b"a/../../outside"
        assert flist.tags() == {"readme": "x"}
    store = Sources([f"dir://{tmp_path}/blocks"])
    assert verify(output, store).faults == []


def test_every_compression_gives_the_same_flist(tmp_path: Path) -> None:
    data = make_layer(*APP, *ODD)
    flists = set()
    for name, packer in PACKERS.items():
        pack(packer(data), tmp_path / f"{name}.fl")
        flists.add((tmp_path / f"{name}.fl").read_bytes())
    assert len(flists) == 1


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_of_both_forms(tmp_path: Path, form: int) -> None:
    name = "/".join(["directory" * 20] * 10) + "/naïve"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in (member(name, b"x"), hard("other", name), link("link", name)):
            archive.addfile(info, io.BytesIO(data))
    pack(buffer.getvalue(), tmp_path / "a.fl")
    found = listing(tmp_path / "a.fl")
    assert found[f"/{name}"].size == 1
    assert found["/other"].nlink == 2
    assert found["/link"].size == len(name.encode())


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("../../etc/passwd", b"x")], "leads out of it"),
        ([member("a/../../b", b"x")], "leads out of it"),
        ([hard("x", "../../etc/shadow")], "leads out of it"),
        ([hard("x", "/etc/shadow")], "which is no file"),
        ([hard("x", "later"), member("later", b"x")], "which is no file"),
        ([folder("d"), hard("x", "d")], "hard link to a directory"),
        ([hard("x", ".")], "its root"),
        ([member("n" * 256, b"x")], "too long"),
        ([member("d/" * 2050 + "x", b"x")], "too long"),
        ([member(".", b"x")], "root is not a directory"),
        ([member("f", b"x"), member("f/below", b"y")], "lies below a file"),
        ([link("a", "b"), link("b", "a"), member("a/x", b"x")], "a loop of links"),
        ([member("x", type=b"Z")], "unknown type"),
        ([link("x", "")], "invalid target"),
        ([link("x", "y" * 4096)], "invalid target"),
        ([member("x", type=tarfile.CHRTYPE, devmajor=4096)], "impossible number"),
        ([member("x", uid=2**32)], "impossible owner"),
        ([link("down", "d/" * 2000), member("down/" + "e/" * 200 + "x")], "too deep"),
    ],
)
def test_hostile_archives_are_refused(tmp_path: Path, members: Members, said: str) -> None:
    refused(make_layer(member("before", b"x"), *members), tmp_path, said)


def test_links_lead_nowhere_outside_the_tree(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    data = make_layer(
        link("root", "/"), member("root/at-top", b"x"), link("up", "../../../.."),
        member("up/also-at-top", b"x"), link("away", str(victim)), member("away/inside", b"x"),
    )  # fmt: skip
    pack(data, tmp_path / "a.fl")
    found = listing(tmp_path / "a.fl")
    assert {"/at-top", "/also-at-top", f"{victim}/inside"} <= set(found)
    assert list(victim.iterdir()) == []


@pytest.mark.parametrize("name", PACKERS)
def test_a_truncated_archive_is_refused(tmp_path: Path, name: str) -> None:
    data = PACKERS[name](make_layer(*ODD, member("random", os.urandom(3000))))
    data = data if name != "plain" else data.rstrip(b"\0")
    for length in [*range(1, len(data), 97), len(data) - 1]:
        refused(data[:length], tmp_path, "cut off|broken|end mark is missing|no tar archive")


def test_an_archive_needs_an_end_mark(tmp_path: Path) -> None:
    """Cut between two members, it could not be told from a whole one."""
    data = make_layer(member("a", b"x"), member("b", b"y"))
    refused(data[:1024], tmp_path, "end mark is missing")
    refused(PACKERS["zstd"](data[:1024]), tmp_path, "end mark is missing")
    pack(gzip.compress(data[:1024]), tmp_path / "a.fl")  # gzip has an end of its own


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_an_empty_archive_is_refused(tmp_path: Path, packer: Callable[[bytes], bytes]) -> None:
    refused(packer(b""), tmp_path, "the archive is empty")
    refused(packer(bytes(10240)), tmp_path, "the archive is empty")


@pytest.mark.parametrize(
    "data", [b"this is no archive", b"x" * 5000, b"PK\x03\x04" + bytes(600), b"\x7fELF" * 300]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    refused(data, tmp_path, "this is no tar archive")
    refused(gzip.compress(data), tmp_path, "this is no tar archive")
    assert not (tmp_path / "blocks").exists()


def test_a_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive_limits, "RATIO_FREE_BYTES", 4 << 20)
    data = make_layer(member("zeros", bytes(32 << 20)))
    for name in ("gzip", "xz", "zstd", "bzip2"):
        refused(PACKERS[name](data), tmp_path, "unpack to more than")
    pack(data, tmp_path / "a.fl")


def test_limits_hold(tmp_path: Path) -> None:
    data = make_layer(*(member(f"{n}", bytes(1000)) for n in range(100)))
    pack(data, tmp_path / "b.fl", limits=Limits(size_bytes=300_000, entries=100))
    for limits in (Limits(entries=99), Limits(size_bytes=99_999), Limits(names_bytes=150)):
        refused(data, tmp_path, "refused", limits=limits)


def test_holes_count_as_content(tmp_path: Path) -> None:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s",
               "GNU.sparse.realsize": str(2**40)}  # fmt: skip
    data = make_layer(member("x", b"0\n".ljust(512, b"\0"), pax_headers=records))
    refused(data, tmp_path, "more than")


def test_directories_that_paths_imply_count_as_entries(tmp_path: Path) -> None:
    data = make_layer(*(member(f"{n}/" + "d/" * 100 + "x", b"x") for n in range(10)))
    refused(data, tmp_path, "too many", limits=Limits(entries=1000))
    pack(data, tmp_path / "b.fl", limits=Limits(entries=1020))


def test_sparse_files_keep_their_holes(tmp_path: Path) -> None:
    head = b"2\n1048576\n5\n3145723\n5\n"
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "sparse",
               "GNU.sparse.realsize": str(6 * CHUNK_BYTES)}  # fmt: skip
    content = head.ljust(512, b"\0") + b"helloworld"
    pack(make_layer(member("x", content, pax_headers=records)), tmp_path / "a.fl")
    with open_flist(tmp_path / "a.fl") as flist:
        inode = flist.child(1, b"sparse")
        assert inode is not None
        assert inode.size == 6 * CHUNK_BYTES
        extents = flist.meta(inode.ino).extents
        assert extents == ((1048576, 5), (3145723, 5))
        assert len({block.id for block in flist.blocks(inode.ino)}) == 3


def old_sparse(first: bytes, *more: bytes, real_size: int, data: bytes) -> bytes:
    """Return an archive with a sparse file of GNU's old form; the maps are given as they are."""
    info, _ = member("s", data, type=b"S")
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[386:495] = first.ljust(96, b"\0") + bytes([bool(more)]) + b"%011o\0" % real_size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    extras = [part.ljust(504, b"\0") + bytes([at < len(more)]) for at, part in enumerate(more, 1)]
    pieces = [bytes(block), *(extra.ljust(512, b"\0") for extra in extras)]
    return b"".join(pieces) + data.ljust(-(-len(data) // 512) * 512, b"\0") + bytes(1024)


def test_a_map_of_holes_has_no_negative_lengths(tmp_path: Path) -> None:
    def number(value: int) -> bytes:
        return b"\xff" + value.to_bytes(11, "big", signed=True) if value < 0 else b"%011o\0" % value

    good = b"".join(map(number, (0, 10, 20, 10)))
    pack(old_sparse(good, real_size=40, data=b"x" * 20), tmp_path / "good.fl")
    bad = b"".join(map(number, (0, 20, 20, -10, 10, 10)))
    refused(old_sparse(bad, real_size=40, data=b"x" * 20), tmp_path, "map is wrong")


def test_an_endless_map_of_holes_is_not_kept_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "MAX_EXTENTS", 50)
    pair = b"%011o\0%011o\0" % (0, 1)
    endless = old_sparse(pair * 4, *[pair * 21] * 4, real_size=9, data=b"")[
        :2048
    ]  # its end is not seen
    refused(endless, tmp_path, "more than 50")


def test_progress_is_the_number_of_bytes_read(tmp_path: Path) -> None:
    data = make_layer(*APP)
    seen: list[int] = []
    pack(data, tmp_path / "a.fl", progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == len(data)


@pytest.mark.parametrize("after", [0, 1, 5, 20])
def test_a_cancelled_pack_writes_no_flist(tmp_path: Path, after: int) -> None:
    left = [after]

    def is_cancelled() -> bool:
        left[0] -= 1
        return left[0] < 0

    data = make_layer(member("big", os.urandom(4 << 20)))
    for name in ("plain", "zstd"):
        left[0] = after
        with pytest.raises(CancelledError):
            pack(PACKERS[name](data), tmp_path / "a.fl", is_cancelled=is_cancelled)
    assert not (tmp_path / "a.fl").exists()


def test_a_stream_that_fails_is_reported(tmp_path: Path) -> None:
    class Failing(OneWay):
        def read(self, size: int = -1) -> bytes:
            if self.inner.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(min(size, 512))

    stream = cast("BinaryIO", Failing(make_layer(*APP)))
    with pytest.raises(ArchiveError, match="cannot read the archive: Input/output error"):
        pack_archive(stream, tmp_path / "a.fl", routes(tmp_path / "a.fl"))
    assert not (tmp_path / "a.fl").exists()


@given(data=st.binary(max_size=3000))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes_are_packed_or_refused(tmp_path: Path, data: bytes) -> None:
    whole = bytearray(make_layer(*ODD))
    for place, byte in enumerate(data[:40]):
        whole[place * 131 % len(whole)] ^= byte
    for some in (data, bytes(whole), b"\x1f\x8b\x08" + data, b"\x28\xb5\x2f\xfd" + data):
        with contextlib.suppress(FlistError):
            pack(some, tmp_path / "a.fl", limits=Limits(size_bytes=1 << 24))
