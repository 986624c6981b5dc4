"""Firmware: links are followed, files are compressed as the kernel reads them, lacks are named."""

import io
import lzma
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.debian.archive import PackageArchive, open_archive
from image.errors import ImageError
from image.formats.cpio import read_archive, write_archive
from image.model import File, Symlink
from image.parts.firmware import (
    FOLDER,
    Lack,
    collect_firmware,
    collect_microcode,
    find_lacks,
    free_microcode,
)

FILES = {
    "nic/a.bin": b"a" * 3000,
    "nic/other/b.bin": b"b",
    "intel-ucode/06-01": b"one",
    "intel-ucode/06-02": b"two",
    "amd-ucode/microcode_amd.bin": b"amd",
    "amd-ucode/README": b"no",
}
LINKS = {
    "nic/short.bin": "other/b.bin",
    "twice.bin": "nic/short.bin",
    "up/c.bin": "../nic/a.bin",
    "broken.bin": "nowhere",
    "loop.bin": "loop.bin",
}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[PackageArchive]:
    """Yield an archive with FILES and LINKS below the folder of firmware."""
    path = tmp_path / "tree.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for name, target in LINKS.items():
            info = tarfile.TarInfo(f"{FOLDER}/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)
    with open_archive(path) as opened:
        yield opened


def test_links_lead_to_compressed_files(archive: PackageArchive) -> None:
    tree = collect_firmware(["twice.bin", "up/c.bin", "nic/a.bin", "absent.bin"], archive)
    for name, content in (("twice.bin", b"b"), ("up/c.bin", FILES["nic/a.bin"])):
        path = tree.resolve(f"{FOLDER}/{name}.xz")
        assert path is not None
        file = tree[path]
        assert isinstance(file, File)
        assert lzma.decompress(file.content) == content
    assert tree[f"{FOLDER}/twice.bin.xz"] == Symlink("nic/short.bin.xz")
    assert len([path for path, _ in tree.files()]) == 2


def test_the_kernels_decoder_takes_only_crc32(archive: PackageArchive) -> None:
    _, file = next(iter(collect_firmware(["nic/a.bin"], archive).files()))
    assert lzma.LZMADecompressor().decompress(file.content) == FILES["nic/a.bin"]
    decoder = lzma.LZMADecompressor()
    decoder.decompress(file.content)
    assert decoder.check == lzma.CHECK_CRC32


def test_each_module_without_its_firmware_is_named(archive: PackageArchive) -> None:
    named = {
        "net/good.ko": ["nic/a.bin", "twice.bin", "nic/other/*"],
        "net/bad.ko": ["broken.bin", "loop.bin", "rom.bin", "no/*"],
    }
    assert find_lacks(named, archive, ["rom.*"]) == [
        Lack("net/bad.ko", "broken.bin", is_known=False),
        Lack("net/bad.ko", "loop.bin", is_known=False),
        Lack("net/bad.ko", "no/*", is_known=False),
        Lack("net/bad.ko", "rom.bin", is_known=True),
    ]


def test_microcode_is_joined_and_freed_again(archive: PackageArchive) -> None:
    early = {m.name: m for m in read_archive(write_archive(collect_microcode(archive), 1))}
    assert early["kernel/x86/microcode/GenuineIntel.bin"].content == b"onetwo"
    assert early["kernel/x86/microcode/AuthenticAMD.bin"].content == b"amd"
    assert {path for path, _ in collect_microcode(archive).files()} <= set(free_microcode())


def test_packages_without_microcode_are_an_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    with open_archive(tmp_path / "empty.tar") as archive, pytest.raises(ImageError, match="intel"):
        collect_microcode(archive)
