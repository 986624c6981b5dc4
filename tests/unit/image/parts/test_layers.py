"""Compressed layers: their bytes, and their cache."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from image.formats.cpio import read_archive, write_archive
from image.model import File
from image.parts.layers import cached_layer, keep_newest, pack_layer
from image.release.identity import digest
from image.tree import Tree
from tests.helpers.checkout import TOP
from tests.helpers.waiting import wait_until


def big_tree() -> Tree:
    """Return a tree with work for more than two threads, whose data compresses a little."""
    tree = Tree()
    for number in range(40):
        tree.add(
            f"f{number}", File(b"".join(digest(f"{number}-{i}").encode() for i in range(9999)))
        )
    return tree


def test_the_bytes_do_not_depend_on_the_number_of_threads() -> None:
    data = write_archive(big_tree(), 5)
    one = pack_layer(data, level=1, threads=1)
    assert pack_layer(data, level=1, threads=3) == one
    raw = zstandard.ZstdDecompressor().decompressobj().decompress(one)
    assert len(read_archive(raw)) == 40


def test_a_layer_is_made_once_per_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    made = []

    def make() -> bytes:
        made.append(1)
        return b"layer"

    for identity in ("a" * 64, "a" * 64, "b" * 64):
        assert cached_layer("x", identity, make) == b"layer"
    assert len(made) == 2


def test_a_damaged_layer_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    cached_layer("x", "a" * 64, lambda: b"the layer's bytes")
    (path,) = (tmp_path / "image" / "layers").iterdir()
    for damaged in (path.read_bytes().replace(b"byte", b"BYTE"), path.read_bytes()[:-4], b""):
        path.write_bytes(damaged)
        assert cached_layer("x", "a" * 64, lambda: b"made again") == b"made again"


def test_ctrl_c_ends_a_compression_at_once(tmp_path: Path) -> None:
    source = (
        "import random; from image.parts.layers import pack_layer;"
        " data = random.Random(1).randbytes(1 << 20) * 300;"
        " print('compressing', flush=True); pack_layer(data, level=22, threads=1)"
    )
    call = [sys.executable, "-c", source]
    env = {**os.environ, "PYTHONPATH": str(TOP)}
    pipe = subprocess.PIPE
    with subprocess.Popen(call, env=env, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout and process.stdout.readline() == "compressing\n"
        compressors = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        wait_until(lambda: compressors.read_text() != "", "it compresses")
        child = int(compressors.read_text().split()[0])
        process.send_signal(signal.SIGINT)
        assert process.wait(20) != 0
        wait_until(lambda: not Path(f"/proc/{child}").exists(), "the compressor has ended")


def test_old_layers_are_removed(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"x-{number}.zst"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    (tmp_path / "y-0.zst").write_bytes(b"")
    keep_newest(tmp_path, "x-*.zst", 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x-4.zst", "x-5.zst", "y-0.zst"]
