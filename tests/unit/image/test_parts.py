"""Keys, wheels, layers, manifests and identities, each by itself."""

import base64
import errno
import json
import os
import zipfile
from pathlib import Path

import pytest
import zstandard

from image.build import write_release
from image.cli import make_parser
from image.cpio import read_archive
from image.errors import ImageError
from image.identity import digest, tree_identity
from image.layers import cached_layer, keep_newest, pack_layer
from image.manifest import NAME, describe, encode_manifest, find_release
from image.model import File
from image.project import PROGRAMS, collect_sources, read_keys
from image.tree import Tree
from image.wheels import unpack_wheels

KEY = base64.b64encode(bytes(range(32))).decode()


def test_keys_are_taken_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# mine\n\n {KEY}  # laptop\n{KEY}\n")
    assert read_keys(path) == f"{KEY}\n{KEY}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# none\n",
        f"private: {KEY}\n",
        f"{KEY}x\n",
        f"{KEY[:-4]}\n",
        "ssh-ed25519 AAAA\n",
        "\xff\n",
    ],
)
def test_bad_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ImageError, match="key"):
        read_keys(path)


def test_a_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_keys(tmp_path / "absent")


def test_wheels_are_unpacked_without_what_no_node_runs(tmp_path: Path) -> None:
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


def big_tree() -> Tree:
    """Return more than two threads' worth of data that compresses a little."""
    tree = Tree()
    for number in range(40):
        tree.add(
            f"f{number}", File(b"".join(digest(f"{number}-{i}").encode() for i in range(9999)))
        )
    return tree


def test_layers_are_the_same_with_any_number_of_threads() -> None:
    tree = big_tree()
    one = pack_layer(tree, 5, level=1, threads=1)
    assert pack_layer(tree, 5, level=1, threads=3) == one
    assert len(one) % 4 == 0
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


def test_old_layers_go(tmp_path: Path) -> None:
    for number in range(6):
        path = tmp_path / f"x-{number}.zst"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    (tmp_path / "y-0.zst").write_bytes(b"")
    keep_newest(tmp_path, "x-*.zst", 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x-4.zst", "x-5.zst", "y-0.zst"]


def make_release(folder: Path) -> None:
    """Write a release of identity "id"."""
    (folder / "vmlinuz").write_bytes(b"kernel")
    files = {"vmlinuz": describe(b"kernel")}
    (folder / NAME).write_bytes(encode_manifest("1", "6.12", "id", files))


def test_a_release_is_found_while_it_is_whole(tmp_path: Path) -> None:
    make_release(tmp_path)
    release = find_release(tmp_path, "id")
    assert release is not None
    assert release.reused
    assert release.files["vmlinuz"].size == 6
    assert find_release(tmp_path, "other") is None
    for damaged in (b"kerne", b"Kernel"):
        (tmp_path / "vmlinuz").write_bytes(damaged)
        assert find_release(tmp_path, "id") is None
    (tmp_path / "vmlinuz").unlink()
    assert find_release(tmp_path, "id") is None


def encode(kernel: bytes) -> bytes:
    return encode_manifest("1", "6.12", "id", {"vmlinuz": describe(kernel)})


def test_a_full_disk_leaves_the_old_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_release(tmp_path, {"vmlinuz": b"old", NAME: encode(b"old")})
    calls = []

    def sync(number: int) -> None:
        calls.append(number)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(ImageError, match=r"cannot write to .*: No space left on device"):
        write_release(tmp_path, {"vmlinuz": b"new", NAME: encode(b"new")})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "vmlinuz": b"old",
        NAME: encode(b"old"),
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"identity": "id"}', '{"identity":"id","files":3}']
)
def test_a_broken_manifest_is_no_release(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert find_release(tmp_path, "id") is None


def test_a_manifest_says_what_its_readers_expect() -> None:
    value = json.loads(encode_manifest("1", "6.12", "id", {"vmlinuz": describe(b"x")}))
    assert set(value) == {"version", "kernel", "identity", "files"}
    assert set(value["files"]["vmlinuz"]) == {"size", "sha256"}


def test_borders_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    one, two = Tree(), Tree()
    one.add("a", File(b"", 0o644))
    two.add("a", File(b"", 0o755))
    assert tree_identity(one) != tree_identity(two)


def test_a_node_gets_the_project_without_what_is_for_servers() -> None:
    paths = set(collect_sources())
    top = "usr/lib/zero-os"
    assert f"{top}/zinit/boot.py" in paths
    assert f"{top}/zero_os/cli.py" in paths
    assert any(path.startswith("etc/zinit/") for path in paths)
    unwanted = ("flist/hub", "zero_os/boot", "image", "qemu", "bootstrap_server", "node/etc")
    assert not [p for p in paths for name in unwanted if p.startswith(f"{top}/{name}/")]
    for _, module, _ in PROGRAMS.values():
        assert f"{top}/{module.replace('.', '/')}.py" in paths


def test_an_empty_name_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        make_parser("zos image").parse_args(["build", "--output", ""])
    assert "a folder's name is needed" in capsys.readouterr().err
