"""Layers: the tar reader compared with Python's, merging, and hostile input."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from flist.archive import tar
from flist.archive.errors import ArchiveError
from flist.archive.inflate import inflate
from flist.archive.limits import Limits
from flist.model import Extent
from flist.oci.digest import parse_digest
from flist.oci.errors import ImageError
from flist.oci.layer.hashed import HashedReader
from tests.helpers.flist.layers import apply_layers, listing
from tests.helpers.flist.registry import digest_of, folder, hard, link, make_layer, member
from tests.helpers.needs import need_tool

LIMIT = 1 << 26


def entries(data: bytes) -> list[tuple[tar.Entry, bytes]]:
    """Return every entry with its stored content."""
    reader = tar.TarReader(
        HashedReader(inflate(io.BytesIO(data)), parse_digest(digest_of(data)), LIMIT)
    )
    return [(entry, reader.take(reader.left)) for entry in reader]


NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150
)
MEMBERS = st.builds(
    lambda name, data, kind, target, mode, uid, mtime: member(
        name, data if kind == tarfile.REGTYPE else b"", type=kind, linkname=target, mode=mode,
        uid=uid, gid=uid, mtime=mtime, devmajor=mode % 4096, devminor=mode,
    ),
    NAMES.map(lambda name: name.rstrip("/") or "x"),
    st.binary(max_size=1500),
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE,
                     tarfile.CHRTYPE, tarfile.FIFOTYPE]),
    NAMES,
    st.integers(0, 0o7777),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**32), 2**32),
)  # fmt: skip


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@given(members=st.lists(MEMBERS, max_size=6))
@settings(max_examples=60, deadline=None)
def test_archives_of_pythons_tarfile_are_read(
    form: int, members: list[tuple[tarfile.TarInfo, bytes]]
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    found = entries(buffer.getvalue())
    assert len(found) == len(members)
    for (info, data), (entry, stored) in zip(members, found, strict=True):
        assert entry.name.rstrip(b"/") == info.name.encode().rstrip(b"/")
        assert entry.kind == ord(info.type)
        assert (entry.mode, entry.uid, entry.gid) == (info.mode, info.uid, info.gid)
        assert entry.mtime_ns == info.mtime * 10**9
        assert stored == data
        if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            assert entry.target == info.linkname.encode()
        if info.type == tarfile.CHRTYPE:
            assert entry.device == (info.devmajor, info.devminor)


@pytest.mark.parametrize("form", ["gnu", "pax", "0.0", "0.1"])
def test_sparse_files_of_gnu_tar(tmp_path: Path, form: str) -> None:
    need_tool("tar")
    size = 3 << 20
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(size)
        for place in range(0, size, 256 << 10):
            stream.seek(place + 8192)
            stream.write(b"data" * 1024)
    forms = [f"--sparse-version={form}"] if form[0] == "0" else [f"--format={form}"]
    call = ["tar", "-c", "-S", *forms, "-C", str(tmp_path), "sparse"]
    layer = subprocess.run(call, capture_output=True, check=True).stdout
    assert len(layer) < 1 << 20
    assert listing([layer])["/sparse"] == (tmp_path / "sparse").read_bytes()
    root = apply_layers([layer])
    assert root.children is not None
    extents = root.children[b"sparse"].item.extents
    assert extents is not None
    assert extents[0] == Extent(8192, 4096)


@pytest.mark.parametrize(
    "how",
    ["gzip", "two gzip members", "zstd", "two zstd frames", "plain", "xz", "two xz streams",
     "bzip2", "two bzip2 streams"],
)  # fmt: skip
def test_compressions(how: str) -> None:
    layer = make_layer(member("a", bytes(3 << 20)), member("b", b"end"))
    half = len(layer) // 2
    packed = {
        "gzip": gzip.compress(layer),
        "two gzip members": gzip.compress(layer[:half]) + gzip.compress(layer[half:]),
        "zstd": zstandard.compress(layer),
        "two zstd frames": zstandard.compress(layer[:half]) + zstandard.compress(layer[half:]),
        "plain": layer,
        "xz": lzma.compress(layer, preset=1),
        "two xz streams": lzma.compress(layer[:half]) + bytes(8) + lzma.compress(layer[half:]),
        "bzip2": bz2.compress(layer, 1),
        "two bzip2 streams": bz2.compress(layer[:half]) + bz2.compress(layer[half:]),
    }[how]
    assert b"".join(inflate(io.BytesIO(packed))) == layer
    for cut in (packed[: len(packed) // 2], packed[:-3]):
        reader = HashedReader(inflate(io.BytesIO(cut)), parse_digest(digest_of(layer)), LIMIT)
        with pytest.raises(ArchiveError):
            reader.finish()


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, zstandard.compress])
def test_changed_bytes_are_detected(pack: Callable[[bytes], bytes]) -> None:
    layer = make_layer(member("a", random.Random(1).randbytes(3000)))
    packed = pack(layer)
    for place in range(0, len(packed), 7):
        data = packed[:place] + bytes([packed[place] ^ 0x10]) + packed[place + 1 :]
        reader = HashedReader(inflate(io.BytesIO(data)), parse_digest(digest_of(layer)), LIMIT)
        with contextlib.suppress(ArchiveError):
            reader.finish()
            assert reader.total == len(layer)  # a bit without a meaning


def test_an_xz_stream_that_wants_too_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 256 << 20}]
    huge = lzma.compress(b"x", filters=filters)
    with pytest.raises(ArchiveError, match="xz"):
        list(inflate(io.BytesIO(huge)))


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_stopped_at_the_limit(pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(bytes(64 << 20))
    reader = HashedReader(inflate(io.BytesIO(bomb)), parse_digest(digest_of(bomb)), 5 << 20)
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        reader.finish()
    assert reader.total <= 6 << 20


BASE = make_layer(
    folder("a"), member("a/x", b"x0"), member("a/y", b"y0"), folder("a/d"), member("a/d/z", b"z0"),
    link("l", "a"), member("f", b"f0"), hard("f2", "f"),
)  # fmt: skip
PLAIN = {"/a": None, "/a/x": b"x0", "/a/y": b"y0", "/a/d": None, "/a/d/z": b"z0", "/l": "a",
         "/f": b"f0", "/f2": b"f0"}  # fmt: skip


def without(*names: str) -> dict[str, object]:
    return {key: value for key, value in PLAIN.items() if key not in names}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], PLAIN),
        ([member("a/.wh.x")], without("/a/x")),
        ([member(".wh.a")], without("/a", "/a/x", "/a/y", "/a/d", "/a/d/z")),
        ([member(".wh.missing")], PLAIN),
        ([member("a/.wh..wh..opq")], without("/a/x", "/a/y", "/a/d", "/a/d/z")),
        # A whiteout hides lower layers only, at any position in its layer.
        ([member("a/x", b"new"), member("a/.wh.x")], {**PLAIN, "/a/x": b"new"}),
        ([member("a/.wh..wh..opq"), member("a/n", b"n")],
         {**without("/a/x", "/a/y", "/a/d", "/a/d/z"), "/a/n": b"n"}),
        ([folder(".wh.f")], without("/f")),
        ([folder(".wh..wh.plnk"), member(".wh..wh.plnk/1.2", b"aufs")], PLAIN),
        ([member("f", b"f1")], {**PLAIN, "/f": b"f1"}),
        ([member(".wh.f")], without("/f")),
        ([member("a", b"now a file")],
         {**without("/a/x", "/a/y", "/a/d", "/a/d/z"), "/a": b"now a file"}),
        ([folder("f"), member("f/in", b"i")], {**PLAIN, "/f": None, "/f/in": b"i"}),
        ([hard("f3", "f")], {**PLAIN, "/f3": b"f0"}),  # to a lower layer's file
        ([hard("f3", "f"), member(".wh.f"), member(".wh.f2")],
         {**without("/f", "/f2"), "/f3": b"f0"}),
        # Of two members with one name, the later counts, as with tar.
        ([member("a/x", b"1"), member("a/x", b"2")], {**PLAIN, "/a/x": b"2"}),
        ([member("n", b"1"), folder("n"), member("n/m", b"2")],
         {**PLAIN, "/n": None, "/n/m": b"2"}),
        # Inside a layer, symbolic links are followed as in a chroot.
        ([folder("usr"), link("bin", "/../usr"), member("bin/sh", b"s")],
         {**PLAIN, "/usr": None, "/bin": "/../usr", "/usr/sh": b"s"}),
        ([link("out", "../../../etc"), member("out/passwd", b"p")],
         {**PLAIN, "/out": "../../../etc", "/etc": None, "/etc/passwd": b"p"}),
        ([member("/absolute", b"a")], {**PLAIN, "/absolute": b"a"}),
        ([member("./a/./x//", b"")], {**PLAIN, "/a/x": None}),
    ],
)  # fmt: skip
def test_layers_are_merged(
    members: list[tuple[tarfile.TarInfo, bytes]], expected: dict[str, object]
) -> None:
    assert listing([BASE, make_layer(*members)]) == expected


def test_three_layers_and_a_deletion_between() -> None:
    layers = [BASE, make_layer(member("a/.wh..wh..opq")), make_layer(member("a/n", b"n"))]
    assert listing(layers) == {**without("/a/x", "/a/y", "/a/d", "/a/d/z"), "/a/n": b"n"}
    layers = [BASE, make_layer(member(".wh.f")), make_layer(member("f", b"back"))]
    assert listing(layers) == {**PLAIN, "/f": b"back"}


def test_an_implied_directory_takes_owner_and_mode_from_below() -> None:
    lower = make_layer(folder("a", 0o700, uid=7), member("a/x"))
    root = apply_layers([lower, make_layer(member("a/y"), member("b/c"))])
    assert root.children is not None
    assert (root.children[b"a"].item.mode, root.children[b"a"].item.uid) == (0o040700, 7)
    assert root.children[b"b"].item.mode == 0o040755


def test_hard_links_stay_one_file() -> None:
    root = apply_layers([BASE, make_layer(hard("f3", "f"))])
    assert root.children is not None
    assert len({root.children[name].item for name in (b"f", b"f2", b"f3")}) == 1


def test_attributes_are_kept_except_those_of_overlayfs() -> None:
    records = {
        "SCHILY.xattr.user.a": "1\n2=3",
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "mtime": "-1.25",
    }
    root = apply_layers([make_layer(member("f", b"", pax_headers=records))])
    assert root.children is not None
    item = root.children[b"f"].item
    assert item.xattrs == ((b"user.a", b"1\n2=3"),)
    assert item.mtime_ns == -1_250_000_000


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([member("../escape")], "leads out"),
        ([member("a/../../escape")], "leads out"),
        ([member("/../escape")], "leads out"),
        ([hard("h", "../../etc/shadow")], "leads out"),
        ([hard("h", "/etc/shadow")], "which is no file"),
        ([hard("h", "h")], "which is no file"),
        ([hard("h", "a")], "hard link to a directory"),
        ([member(".wh.f"), hard("h", "f")], "which is no file"),
        ([member(".wh..")], "invalid name"),
        ([member(".wh.")], "invalid name"),
        ([member("a/.wh...")], "invalid name"),
        ([member("x" * 256)], "too long"),
        ([member("d/" * 3000 + "x")], "too long"),
        ([member("p", pax_headers={"path": "a\0b"})], "NUL"),
        ([link("l", "l2"), link("l2", "l"), member("l/x")], "loop of links"),
        ([member("f"), member("f/x")], "below a file"),
        ([link("l3", "x" * 4096)], "invalid target"),
        (
            [member("x", pax_headers={"SCHILY.xattr.user.x": "v" * 70000})],
            "invalid extended attribute",
        ),
        ([member("x", pax_headers={"SCHILY.xattr.": "v"})], "invalid extended attribute"),
        ([member("x", pax_headers={"comment": "v" * (2 << 20)})], "header of"),
        ([member("x", pax_headers={"uid": "99999999999"})], "impossible owner"),
        ([member("x", type=b"D")], "unknown type"),
        ([member("x", type=tarfile.CHRTYPE, devmajor=5000)], "impossible number"),
        ([member("./", b"", type=tarfile.SYMTYPE, linkname="/")], "root is not a directory"),
        ([member("x", pax_headers={"size": "9" * 19})], "impossible size|cut off"),
    ],
)
def test_layers_that_are_refused(members: list[tuple[tarfile.TarInfo, bytes]], said: str) -> None:
    layer = make_layer(folder("a"), *members)
    with pytest.raises(ArchiveError, match=said):
        apply_layers([layer])


def test_limits() -> None:
    layer = make_layer(*(member(f"{n}", bytes(1000)) for n in range(100)))
    assert len(listing([layer], Limits(size_bytes=200_000, entries=100))) == 100
    for limits in (Limits(entries=99), Limits(size_bytes=99_999), Limits(names_bytes=150)):
        with pytest.raises(ArchiveError, match="refused"):
            apply_layers([layer], limits)


def test_a_sparse_file_of_an_absurd_size_is_refused() -> None:
    records = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s",
               "GNU.sparse.realsize": str(2**61)}  # fmt: skip
    layer = make_layer(member("x", b"0\n".ljust(512, b"\0"), pax_headers=records))
    with pytest.raises(ArchiveError, match="more than"):
        apply_layers([layer])


def test_a_deep_tree_does_not_exhaust_the_stack() -> None:
    deep = "d/" * 2000
    found = listing([make_layer(member(deep + "f", b"1")), make_layer(member(deep + "g", b"2"))])
    assert len(found) == 2002


def test_directories_that_paths_imply_count_as_entries() -> None:
    layer = make_layer(*(member(f"{n}/" + "d/" * 100 + "x", b"x") for n in range(10)))
    with pytest.raises(ArchiveError, match="too many"):
        listing([layer], Limits(entries=1000))
    assert len(listing([layer], Limits(entries=1020))) == 1020


def test_a_layer_with_another_hash_is_refused() -> None:
    layer = make_layer(member("a", b"good"))
    reader = HashedReader(inflate(io.BytesIO(layer)), parse_digest(digest_of(b"other")), LIMIT)
    with pytest.raises(ImageError, match="does not unpack to"):
        reader.finish()


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_layer_is_read_or_refused(data: st.DataObject) -> None:
    """Never another error, a hang, or a name that a file system could not hold."""
    damaged = bytearray(BASE)
    for _ in range(data.draw(st.integers(1, 8))):
        block = 512 * data.draw(st.integers(0, len(BASE) // 512 - 1))
        place = block + data.draw(st.sampled_from([*range(12), *range(100, 165), 257, 345]))
        damaged[place] = data.draw(st.integers(0, 255))
    for block in range(0, len(damaged), 512):  # so that the damage is not only seen in the sums
        if damaged[block]:
            damaged[block + 148 : block + 156] = b" " * 8
            total = sum(damaged[block : block + 512])
            damaged[block + 148 : block + 156] = b"%06o\0 " % total
    layer = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    try:
        root = apply_layers([layer], Limits(size_bytes=1 << 24))
    except ArchiveError:
        return
    assert stat.S_ISDIR(root.item.mode)


@given(st.binary(max_size=3000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for layer in (data, b"\x1f\x8b\x08" + data, b"\x28\xb5\x2f\xfd" + data):
        with contextlib.suppress(ArchiveError):
            apply_layers([layer], Limits(size_bytes=1 << 24))


def test_hard_links_into_the_folder_of_aufs() -> None:
    """The folder itself is left out; what its files hold is under the names that lead to them."""
    layer = make_layer(
        folder(".wh..wh.plnk"), member(".wh..wh.plnk/1.2", b"aufs"),
        hard("a", ".wh..wh.plnk/1.2"), hard("b", "a"), hard("c", ".wh..wh.plnk/1.2"),
    )  # fmt: skip
    assert listing([layer]) == {"/a": b"aufs", "/b": b"aufs", "/c": b"aufs"}
    root = apply_layers([layer])
    assert root.children is not None
    assert len({id(node.item) for node in root.children.values()}) == 1
