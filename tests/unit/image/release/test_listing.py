"""The list of an initramfs: every archive of it, and broken ones."""

import json
from pathlib import Path

import pytest

from image import cli
from image.efi.uki import build_uki
from image.errors import FormatError
from image.formats.cpio import write_archive
from image.model import Device, Entry, File, Symlink
from image.parts.layers import pack_layer
from image.release.listing import read_initramfs
from image.tree import Tree
from tests.helpers.efi import small_sections
from tests.helpers.pe import make_stub


def tree(**entries: Entry) -> Tree:
    made = Tree()
    for name, entry in entries.items():
        made.add(name, entry)
    return made


@pytest.fixture
def initramfs(tmp_path: Path) -> Path:
    """Return the file of a release with three archives, the last one not compressed."""
    first = pack_layer(write_archive(tree(one=File(b"12345", 0o755)), 1), level=1)
    second = write_archive(tree(link=Symlink("one"), null=Device("c", 1, 3)), 1)
    second = pack_layer(second, level=1)
    path = tmp_path / "initramfs.zst"
    path.write_bytes(first + bytes(8) + second + write_archive(tree(three=File(b"")), 1))
    return path


def test_all_archives_are_listed(initramfs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(initramfs.parent)], "zos image") == 0
    assert capsys.readouterr().out.splitlines() == [
        "-rwxr-xr-x 0:0         5 one",
        "lrwxrwxrwx 0:0         3 link -> one",
        "crw------- 0:0       1,3 null",
        "-rw-r--r-- 0:0         0 three",
    ]
    assert cli.main(["inspect", "--json", str(initramfs)], "zos image") == 0
    value = json.loads(capsys.readouterr().out)
    assert [row["path"] for row in value] == ["one", "link", "null", "three"]
    assert value[1]["target"] == "one"


def test_the_initramfs_of_a_uki_is_listed(initramfs: Path, tmp_path: Path) -> None:
    sections = {**small_sections(), ".initrd": initramfs.read_bytes()}
    uki = tmp_path / "zos.efi"
    uki.write_bytes(build_uki(make_stub(), sections))
    assert read_initramfs(uki) == read_initramfs(initramfs)


def test_a_broken_initramfs_is_reported(initramfs: Path) -> None:
    data = initramfs.read_bytes()
    for broken in (data[:40], data.rstrip(b"\0")[:-20], b"text"):
        initramfs.write_bytes(broken)
        with pytest.raises(FormatError):
            read_initramfs(initramfs)


def test_an_archive_before_the_compressed_ones_is_listed(initramfs: Path) -> None:
    early = write_archive(tree(kernel=File(b"microcode")), 1)
    initramfs.write_bytes(early + initramfs.read_bytes())
    assert [m.name for m in read_initramfs(initramfs)] == ["kernel", "one", "link", "null", "three"]
