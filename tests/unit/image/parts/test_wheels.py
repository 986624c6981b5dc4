"""Wheels unpacked into a tree."""

import zipfile
from pathlib import Path

from image.model import File
from image.parts.wheels import unpack_wheels


def test_wheels_are_unpacked_without_unwanted_files(tmp_path: Path) -> None:
    wheel = tmp_path / "x-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("x/a.py", "x/b.pyi", "x-1.dist-info/METADATA", "x-1.data/scripts/x"):
            archive.writestr(name, name)
        archive.writestr("x-1.data/platlib/x/c.so", "c")
    tree = unpack_wheels([wheel], "lib", ["*.pyi", "*.dist-info/*"])
    assert [path for path, _ in tree.files()] == ["lib/x/a.py", "lib/x/c.so"]
    entry = tree["lib/x/c.so"]
    assert isinstance(entry, File)
    assert entry.mode == 0o755
