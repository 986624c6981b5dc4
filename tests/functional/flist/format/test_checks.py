"""The checks in `zos_check`: trusted only if the blocks' bytes agree with them."""

import contextlib
import errno
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cramjam
import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from flist.format.database import FlistFile
from flist.model import CHUNK_BYTES, HASH_BYTES, Block
from tests.helpers.flist.mount import mounted, rfs
from tests.helpers.flist.registry import make_layer, member, write_saved

CONTENT = {"a": b"a few bytes", "b": b"first chunk " * 50_000 + b"and second", "empty": b""}


class Sample(NamedTuple):
    """A flist and the folder of its blocks."""

    meta: Path
    blocks: Path

    def block(self, name: str, index: int = 0) -> Block:
        """Return a block of a file."""
        return blocks_of(self.meta)[name.encode()][index]

    def path(self, block: Block) -> Path:
        """Return the path of a block."""
        return self.blocks / block.id.hex()[:2] / block.id.hex()


@pytest.fixture(name="sample")
def make_sample(tmp_path: Path) -> Sample:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name, data in CONTENT.items():
        (tree / name).write_bytes(data)
    (tree / "link").hardlink_to(tree / "b")
    rfs("pack", "--checksum", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    return Sample(tmp_path / "a.fl", tmp_path / "blocks")


def blocks_of(meta: Path) -> dict[bytes, list[Block]]:
    """Return the blocks of every file, by the file's name."""
    with FlistFile.open(meta) as flist:
        found = {inode.ino: inode.name for inode in flist.inodes() if inode.is_file}
        every: dict[bytes, list[Block]] = {name: [] for name in found.values()}
        for ino, block in flist.all_blocks():
            every[found[ino]].append(block)
        assert every == {name: flist.blocks(ino) for ino, name in found.items()}
        for ino, block in flist.small_blocks(1, 1).items():
            assert [block] == every[found[ino]]
    return every


def change_checks(meta: Path, sql: str) -> None:
    """Run `sql` on a flist."""
    with closing(sqlite3.connect(meta)) as database, database:
        database.execute(sql)


def forge(sample: Sample, block: Block, size: int) -> bytes:
    """Replace a block by one with a valid tag but other content, and return its bytes."""
    packed = bytes(cramjam.snappy.compress_raw(b"x" * size))
    data = AESGCM(block.key).encrypt(block.key[:12], packed, None)
    sample.path(block).write_bytes(data)
    return data


def check_mount(sample: Sample, target: Path) -> None:
    """Mount the flist and check the content of every file."""
    with mounted(sample.meta, target, "--wait", "0") as mount:
        for name, data in CONTENT.items():
            assert (mount.path / name).read_bytes() == data


def test_every_check_is_the_hash_of_the_stored_block(sample: Sample) -> None:
    blocks = blocks_of(sample.meta)
    assert [len(blocks[name]) for name in (b"a", b"b", b"empty")] == [1, 2, 0]
    for block in (block for every in blocks.values() for block in every):
        assert block.check == blake3(sample.path(block).read_bytes()).digest()
    assert blocks[b"link"] == blocks[b"b"]


@pytest.mark.parametrize(
    "sql", ["DROP TABLE zos_check", "UPDATE zos_check SET checks = zeroblob(length(checks))"]
)
def test_ids_are_checked_if_checks_are_missing_or_wrong(
    sample: Sample, tmp_path: Path, sql: str
) -> None:
    change_checks(sample.meta, sql)
    check_mount(sample, tmp_path / "m")
    rfs("unpack", "-m", sample.meta, tmp_path / "out")
    assert (tmp_path / "out" / "b").read_bytes() == CONTENT["b"]


@pytest.mark.parametrize("sql", [
    "UPDATE zos_check SET checks = x'00'",
    "UPDATE zos_check SET checks = 'text'",
    "UPDATE zos_check SET checks = 5",
])  # fmt: skip
def test_malformed_checks_are_refused(sample: Sample, tmp_path: Path, sql: str) -> None:
    change_checks(sample.meta, sql)
    done = rfs("unpack", "-m", sample.meta, tmp_path / "out", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    with mounted(sample.meta, tmp_path / "m", "--wait", "0") as mount:
        with pytest.raises(OSError) as refusal:
            (mount.path / "a").read_bytes()
        assert refusal.value.errno == errno.EIO
        assert (mount.path / "empty").read_bytes() == b""


def test_a_table_with_other_columns_is_refused(sample: Sample, tmp_path: Path) -> None:
    change_checks(sample.meta, "ALTER TABLE zos_check RENAME COLUMN checks TO something")
    done = rfs("verify", "-m", sample.meta, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("index", [0, 1])
def test_a_forged_block_with_a_valid_tag_is_refused(
    sample: Sample, tmp_path: Path, index: int
) -> None:
    """Anyone who has the flist has the key, and can make such a block."""
    size = [CHUNK_BYTES, len(CONTENT["b"]) - CHUNK_BYTES][index]
    forge(sample, sample.block("b", index), size)
    with mounted(sample.meta, tmp_path / "m", "--wait", "0") as mount:
        with pytest.raises(OSError) as refusal:
            (mount.path / "b").read_bytes()
        assert refusal.value.errno == errno.EIO
        assert (mount.path / "a").read_bytes() == CONTENT["a"]
    done = rfs("unpack", "--wait", "0", "-m", sample.meta, tmp_path / "out", check=False)
    assert done.returncode == 1
    assert not (tmp_path / "out" / "b").exists()
    assert (tmp_path / "out" / "a").read_bytes() == CONTENT["a"]


def test_a_wrong_check_cannot_poison_the_cache(sample: Sample, tmp_path: Path) -> None:
    """Other flists rely on a cached block's id, so this flist's check is not enough."""
    block = sample.block("a")
    data = forge(sample, block, len(CONTENT["a"]))
    change_checks(
        sample.meta,
        f"UPDATE zos_check SET checks = x'{blake3(data).hexdigest()}' WHERE ino ="
        " (SELECT ino FROM inode WHERE name = 'a')",
    )
    cache = tmp_path / "cache"
    words: list[str | Path] = ["--wait", "0", "-m", sample.meta, "-c", cache]
    assert rfs("prefetch", *words, check=False).returncode == 1
    assert not (cache / block.id.hex()[:2] / block.id.hex()).exists()
    assert (cache / sample.block("b").id.hex()[:2]).exists()


def test_a_damaged_block_is_fetched_from_the_mirror(sample: Sample, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    shutil.copytree(sample.blocks, mirror)
    path = sample.path(sample.block("a"))
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    words = ["--store", f"dir://{sample.blocks}", "--store", f"dir://{mirror}"]
    rfs("unpack", *words, "-m", sample.meta, tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == CONTENT["a"]


def test_blocks_in_the_flat_layout_of_a_folder_are_found(sample: Sample, tmp_path: Path) -> None:
    for block in (block for every in blocks_of(sample.meta).values() for block in every):
        with contextlib.suppress(FileNotFoundError):
            sample.path(block).rename(sample.blocks / block.id.hex())
    check_mount(sample, tmp_path / "m")


def test_verify_names_the_file_of_a_wrong_check(sample: Sample) -> None:
    assert rfs("verify", "-m", sample.meta).stdout == ""
    zeros = f"zeroblob({HASH_BYTES})"
    change_checks(
        sample.meta,
        f"UPDATE zos_check SET checks = {zeros} WHERE ino ="
        " (SELECT ino FROM inode WHERE name = 'a')",
    )
    done = rfs("verify", "-m", sample.meta, check=False)
    assert done.returncode == 1
    name = sample.block("a").id.hex()
    assert done.stdout == f"/a: block {name} has a check that does not match its bytes\n"


def test_commands_that_write_flists_keep_or_add_the_checks(sample: Sample, tmp_path: Path) -> None:
    expected = blocks_of(sample.meta)
    other = tmp_path / "other"
    other.mkdir()
    (other / "more").write_text("more")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/b", other)
    rfs("merge", "-o", tmp_path / "c.fl", tmp_path / "b.fl", sample.meta)
    assert blocks_of(tmp_path / "c.fl") == expected | blocks_of(tmp_path / "b.fl")
    rfs("clone", "-m", sample.meta, "-s", f"dir://{tmp_path}/clone")
    assert blocks_of(sample.meta) == expected
    plain = Path(shutil.copy(sample.meta, tmp_path / "plain.fl"))
    change_checks(plain, "DROP TABLE zos_check")
    rfs("merge", "-o", tmp_path / "d.fl", plain, tmp_path / "b.fl")
    assert all(not block.check for block in blocks_of(tmp_path / "d.fl")[b"a"])
    assert all(block.check for block in blocks_of(tmp_path / "d.fl")[b"more"])
    rfs("convert", "-m", plain, "-o", tmp_path / "e.fl", "-s", f"dir://{tmp_path}/e")
    assert blocks_of(tmp_path / "e.fl") == expected
    layer = make_layer(*(member(name, data) for name, data in CONTENT.items()))
    image = write_saved(tmp_path / "a.tar", [layer], "a:1")
    rfs("docker", "--archive", image, "-m", tmp_path / "f.fl", "-s", f"dir://{tmp_path}/f")
    assert blocks_of(tmp_path / "f.fl")[b"b"] == expected[b"b"]


def test_verify_names_blocks_that_no_route_covers(sample: Sample) -> None:
    change_checks(sample.meta, 'UPDATE route SET start = 255, "end" = 0')
    done = rfs("verify", "-m", sample.meta, check=False)
    assert done.returncode == 1
    assert f"no route covers block {sample.block('a').id.hex()}" in done.stdout
