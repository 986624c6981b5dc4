"""The commands that compare, merge, copy and convert flists."""

import json
import os
import random
import shutil
import struct
from pathlib import Path

import pytest

from flist.errors import FormatError
from flist.format.legacy.blocks import encode_legacy, legacy_digest
from flist.format.legacy.records import RecordReader
from flist.format.opening import open_flist
from flist.store.base import open_store
from tests.helpers.flist.legacy import (
    Record,
    directory,
    directory_key,
    entry,
    message,
    rights_record,
    write_legacy,
)
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.servers import redis_server
from tests.helpers.flist.trees import describe, make_odd_tree, make_small_tree
from tests.helpers.needs import need_root
from tests.helpers.samples import samples_dir


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl with its blocks in `blocks`."""
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    return tmp_path / "a.fl"


def identity(meta: Path) -> str:
    return str(json.loads(rfs("inspect", "--json", meta).stdout)["identity"])


def test_clone(packed: Path, tmp_path: Path) -> None:
    before = identity(packed)
    other = f"dir://{tmp_path}/other"
    assert "copied" in rfs("clone", "-m", packed, "-s", other).stderr
    assert "copied 0 blocks" in rfs("clone", "-m", packed, "-s", other).stderr
    assert rfs("config", "-m", packed, "store", "list").stdout == f"00-ff={other}\n"
    shutil.rmtree(tmp_path / "blocks")
    rfs("unpack", "-m", packed, tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tmp_path / "tree")
    assert identity(packed) == before


def test_clone_changes_nothing_when_a_block_is_missing(packed: Path, tmp_path: Path) -> None:
    next((tmp_path / "blocks").glob("*/*")).unlink()
    before = packed.read_bytes()
    done = rfs("clone", "-m", packed, "-s", f"dir://{tmp_path}/other", check=False)
    assert done.returncode == 1
    assert packed.read_bytes() == before


def test_config(packed: Path) -> None:
    def config(*words: str) -> str:
        return rfs("config", "-m", packed, *words).stdout

    config("tag", "add", "-t", "version=1.2", "-t", "author=me=you")
    assert config("tag", "list") == "author=me=you\nversion=1.2\n"
    config("tag", "delete", "-k", "version")
    assert config("tag", "list") == "author=me=you\n"
    config("tag", "delete", "-a")
    assert config("tag", "list") == ""
    config("store", "add", "-s", "00-7f=zdb://u:secret@h:9900/ns")
    assert config("store", "list").splitlines()[1] == "00-7f=zdb://u@h:9900/ns"
    config("store", "delete", "-s", "zdb://u@h:9900/ns")
    assert len(config("store", "list").splitlines()) == 1
    config("store", "delete", "-a")
    assert config("store", "list") == ""
    done = rfs("config", "-m", packed, "tag", "delete", "-k", "none", check=False)
    assert done.returncode == 1


def test_diff(packed: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    again = tmp_path / "b.fl"
    rfs("pack", "-m", again, "-s", f"dir://{tmp_path}/blocks", tree)
    assert rfs("diff", packed, again).stdout == ""
    times = (tree / "sub").stat()
    (tree / "sub" / "text").unlink()
    (tree / "sub" / "new").write_text("new")
    os.utime(tree / "sub", ns=(times.st_mtime_ns, times.st_mtime_ns))
    (tree / "one").chmod(0o644)
    status = (tree / "big").stat()
    with (tree / "big").open("r+b") as stream:
        stream.write(b"other bytes")
    os.utime(tree / "big", ns=(status.st_mtime_ns, status.st_mtime_ns))
    rfs("pack", "-m", again, "-s", f"dir://{tmp_path}/blocks", tree)
    done = rfs("diff", packed, again, check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "M /big (content)", "M /one (mode)", "+ /sub/new", "- /sub/text",
    ]  # fmt: skip
    assert identity(packed) != identity(again)


def test_merge(packed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "sub" / "added").mkdir(parents=True)
    (other / "sub" / "added" / "file").write_text("from the second")
    (other / "one").write_text("hidden by the first")
    (other / "big").mkdir()
    (other / "big" / "hidden").write_text("below a file of the first")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/blocks2", other)
    rfs("merge", "-o", tmp_path / "c.fl", packed, tmp_path / "b.fl")
    rfs("unpack", "-m", tmp_path / "c.fl", tmp_path / "out")
    found = describe(tmp_path / "out")
    expected = describe(tmp_path / "tree")
    assert (tmp_path / "out/sub/added/file").read_text() == "from the second"
    for key in ("sub/added", "sub/added/file"):
        del found[key]
    expected["sub"]["nlink"] += 1
    assert found == expected


def test_merge_of_one_is_the_same(tmp_path: Path) -> None:
    need_root()
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/b", make_odd_tree(tmp_path / "t"))
    rfs("merge", "-o", tmp_path / "b.fl", tmp_path / "a.fl")
    assert rfs("diff", tmp_path / "a.fl", tmp_path / "b.fl").stdout == ""
    assert identity(tmp_path / "a.fl") == identity(tmp_path / "b.fl")
    rfs("unpack", "-p", "-m", tmp_path / "b.fl", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tmp_path / "t")


def test_exists_and_gc(packed: Path, tmp_path: Path) -> None:
    store = f"dir://{tmp_path}/blocks"
    assert rfs("exists", "-s", store, tmp_path / "tree" / "big").returncode == 0
    assert rfs("exists", "-s", store, packed).returncode == 0
    name = next((tmp_path / "blocks").glob("*/*")).name
    assert rfs("exists", "-s", store, name).returncode == 0
    assert rfs("exists", "-s", store, "0" * 64, check=False).returncode == 1
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "file").write_text("to be forgotten")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", store, tmp_path / "extra")
    count = len(list((tmp_path / "blocks").glob("*/*")))
    assert rfs("gc", "--keep", packed, "--", tmp_path / "blocks").stdout.startswith("removed 0 ")
    words: list[str | Path] = ["--keep", packed, "--grace", "0"]
    assert "would remove 1 " in rfs("gc", *words, "-n", tmp_path / "blocks").stdout
    assert "removed 1 " in rfs("gc", *words, tmp_path / "blocks").stdout
    assert len(list((tmp_path / "blocks").glob("*/*"))) == count - 1
    assert rfs("verify", "-m", packed).returncode == 0
    assert rfs("verify", "-m", tmp_path / "b.fl", check=False).returncode == 1


def test_prefetch_then_offline(packed: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert "fetched" in rfs("prefetch", "-m", packed, "-c", cache).stderr
    shutil.rmtree(tmp_path / "blocks")
    with mounted(packed, tmp_path / "m", "-c", cache, "--offline") as mount:
        assert describe(mount.path) == describe(tmp_path / "tree")


def test_tree_and_upstreams_flags(packed: Path) -> None:
    lines = rfs("tree", packed).stdout.splitlines()
    assert lines[0] == "/"
    assert "/link -> sub/text" in lines
    assert rfs("--debug", "flist", "tree", packed).stdout.splitlines() == lines
    rows = [json.loads(line) for line in rfs("tree", "--json", "-m", packed).stdout.splitlines()]
    assert len(rows) == len(lines)


def test_the_older_sample_is_read_completely() -> None:
    with open_flist(samples_dir() / "ubuntu-funk.flist") as flist:
        assert flist.totals() == (38081, 956239538)
        tree = [flist.inode(1)]
        paths = {1: b""}
        for inode in tree:
            assert inode is not None
            for child in flist.children(inode.ino):
                paths[child.ino] = paths[inode.ino] + b"/" + child.name
                tree.append(child)
        assert len(tree) == 38081
        known = {path: ino for ino, path in paths.items()}
        passwd = flist.inode(known[b"/etc/passwd"])
        shadow = flist.inode(known[b"/etc/shadow"])
        assert passwd is not None
        assert shadow is not None
        assert (passwd.mode, passwd.uid, passwd.gid) == (0o100644, 0, 0)
        assert (shadow.uid, shadow.gid) == (0, 42)


def test_block_ids_of_the_older_sample() -> None:
    """Small files that are also on this machine have the same keys and ids."""
    matched = 0
    with open_flist(samples_dir() / "ubuntu-funk.flist") as flist:
        paths = {1: "/"}
        for inode in flist.inodes():
            if inode.ino != 1:
                paths[inode.ino] = str(Path(paths[inode.parent], os.fsdecode(inode.name)))
            path = Path(paths[inode.ino])
            if not inode.is_file or not 0 < inode.size < 4000 or not path.is_file():
                continue
            if path.stat().st_size == inode.size:
                block, _ = encode_legacy(path.read_bytes())
                matched += flist.blocks(inode.ino)[0] == block
    if matched < 20:
        pytest.skip(f"only {matched} files of the sample are on this machine")


def make_legacy(path: Path, url: str, content: bytes) -> bytes:
    """Write an older flist with a file, a link, a device and a folder; return the file's block."""
    block, data = encode_legacy(content)
    chunk = Record(struct.pack("<HHI", 128, 0, 0), ([Record(b"", (block.id, block.key))],))
    entries = [
        entry("file", 1, len(content), chunk, "acl1"),
        entry("link", 2, 0, Record(b"", (b"file\0",)), "acl1"),
        entry("device", 3, 0, Record(bytes(8), (b"1,3",)), "acl2"),
        entry("folder", 0, 0, Record(b"", (directory_key("folder").encode() + b"\0",)), "acl1"),
    ]
    host, port = url.removeprefix("zdb://").split(":")
    write_legacy(
        path,
        {
            directory_key(""): directory("", entries, "acl1"),
            directory_key("folder"): directory("folder", [], "no such record"),
            "acl1": rights_record(0o100640, 12, 34),
            "acl2": rights_record(0o020666, 0, 0),
        },
        {"backend": json.dumps({"host": host, "port": int(port)}), "entrypoint": '["/bin/sh"]'},
    )
    return data


def test_an_older_flist_is_mounted_and_converted(tmp_path: Path) -> None:
    """Its blocks come from a Redis server and go to a new store in the new format."""
    need_root()
    content = os.urandom(500) * 40
    meta = tmp_path / "old.flist"
    with redis_server(tmp_path) as port:
        data = make_legacy(meta, f"zdb://127.0.0.1:{port}", content)
        store = open_store(f"zdb://127.0.0.1:{port}")
        store.put(legacy_digest(data), data)
        store.close()
        with mounted(meta, tmp_path / "m", "-c", tmp_path / "cache") as mount:
            mounted_tree = describe(mount.path)
        words = ["-m", str(meta), "-o", str(tmp_path / "new.fl"), "-s", f"dir://{tmp_path}/blocks"]
        rfs("convert", *words)
    rfs("unpack", "-p", "-m", tmp_path / "new.fl", tmp_path / "out")
    found = describe(tmp_path / "out")
    assert found == mounted_tree
    assert (tmp_path / "out" / "file").read_bytes() == content
    assert (found["file"]["mode"], found["file"]["uid"], found["file"]["gid"]) == (
        "0o100640",
        12,
        34,
    )
    assert found["link"]["target"] == b"file"
    assert (found["device"]["mode"], found["device"]["rdev"]) == ("0o20666", (1, 3))
    assert (found["folder"]["mode"], found["folder"]["uid"]) == ("0o40400", 1000)
    assert (
        rfs("config", "-m", tmp_path / "new.fl", "tag", "list").stdout == 'entrypoint=["/bin/sh"]\n'
    )


def test_older_flists_cannot_be_merged_or_cloned(packed: Path, tmp_path: Path) -> None:
    old = tmp_path / "old.flist"
    make_legacy(old, "zdb://127.0.0.1:1", b"content")
    done = rfs("merge", "-o", tmp_path / "c.fl", packed, old, check=False)
    assert done.returncode == 1
    assert "convert" in done.stderr
    assert not (tmp_path / "c.fl").exists()
    done = rfs("clone", "-m", old, "-s", f"dir://{tmp_path}/other", check=False)
    assert done.returncode == 1
    assert not (tmp_path / "other").exists()


def test_broken_older_flists_are_refused(tmp_path: Path) -> None:
    """Flipped bytes in the records raise `FormatError`, and never crash or loop forever."""
    dice = random.Random(7)
    record = message(directory("", [entry("a", 2, 0, Record(b"", (b"x\0",)), "acl")] * 3, "acl"))
    refused = 0
    for _ in range(400):
        data = bytearray(record)
        for _ in range(dice.randrange(1, 6)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            RecordReader(tmp_path, {directory_key(""): bytes(data)}).run()
        except FormatError:
            refused += 1
    assert refused > 100
