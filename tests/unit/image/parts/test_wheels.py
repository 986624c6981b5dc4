"""Wheels unpacked into a tree."""

import hashlib
import zipfile
from pathlib import Path

from image.model import File
from image.parts.wheels import are_locked, unpack_wheels


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


def test_cached_wheels_must_have_the_hashes_of_the_lock_file(tmp_path: Path) -> None:
    wheels = [tmp_path / f"{name}-1-py3-none-any.whl" for name in ("one", "two")]
    lock = ""
    for wheel in wheels:
        wheel.write_bytes(wheel.name.encode())
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        lock += f"{wheel.name[:3]}==1 \\\n    --hash=sha256:{'0' * 64} \\\n"
        lock += f"    --hash=sha256:{digest}\n"
    assert are_locked(wheels, lock)
    assert not are_locked([], lock)
    assert not are_locked(wheels[:1], lock)
    assert not are_locked([*wheels, wheels[0]], lock)
    wheels[1].write_bytes(b"repacked")
    assert not are_locked(wheels, lock)
