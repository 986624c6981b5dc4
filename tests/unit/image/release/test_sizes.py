"""The tree of sizes: shares add up to the real size."""

import json
from pathlib import Path

import pytest

from image import cli
from image.formats.cpio import write_archive
from image.model import File
from image.parts.layers import pack_layer
from image.release.sizes import measure_release, place_of
from image.tree import Tree


def make_release(folder: Path) -> None:
    """Write a release with microcode, a compressed layer, and a kernel."""
    early, tree = Tree(), Tree()
    early.add("kernel/x86/microcode/GenuineIntel.bin", File(b"m" * 1000))
    tree.add("usr/lib/modules/6.12/kernel/fs/btrfs/btrfs.ko.xz", File(bytes(range(256)) * 9))
    tree.add("usr/lib/zero-os/zinit/boot.py", File(b"x" * 5000))
    data = write_archive(early, 1) + pack_layer(write_archive(tree, 1), level=1)
    (folder / "initramfs.zst").write_bytes(data)
    (folder / "vmlinuz").write_bytes(b"k" * 333)


def test_the_shares_add_up(tmp_path: Path) -> None:
    make_release(tmp_path)
    cost = measure_release(tmp_path)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert abs(cost.packed - total) < 512  # padding of the archive that is not compressed
    assert cost.below["kernel"].raw == 333
    assert cost.below["microcode"].below["GenuineIntel.bin"].raw == 1000
    assert cost.below["kernel modules"].below["fs"].below["btrfs"].raw == 256 * 9
    assert cost.below["Zero-OS"].below["zinit"].raw == 5000


def test_the_command_prints_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_release(tmp_path)
    assert cli.main(["inspect", "--size", str(tmp_path)], "zos image") == 0
    assert "└─ " in capsys.readouterr().out
    assert cli.main(["inspect", "--size", "--json", str(tmp_path)], "zos image") == 0
    assert json.loads(capsys.readouterr().out)["parts"]["kernel"]["raw"] == 333


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("usr/lib/modules/6.12/modules.dep.bin", ("kernel modules", "indexes")),
        ("usr/lib/modules/6.12/kernel/net/x/y/z.ko", ("kernel modules", "net", "x")),
        ("usr/lib/firmware/bnx2/x.fw.xz", ("firmware", "bnx2")),
        ("usr/lib/python3.13/os.pyc", ("Python", "standard library")),
        ("usr/lib/python3.13/lib-dynload/_ssl.so", ("Python", "extension modules")),
        ("usr/bin/python3.13", ("Python", "interpreter")),
        ("usr/lib/zero-os/yaml/__init__.pyc", ("Python packages", "yaml")),
        ("usr/lib/zero-os/node/cli.py", ("Zero-OS", "node")),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", ("libraries", "libc.so.6")),
        ("init", ("other",)),
    ],
)
def test_the_place_of_a_file(path: str, place: tuple[str, ...]) -> None:
    assert place_of(path) == place
