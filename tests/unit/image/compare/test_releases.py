"""Two releases compared."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from common.efi.authenticode import sign_image
from image import cli
from image.compare.model import Difference
from image.compare.releases import compare
from image.compare.sides import read_side
from image.efi.uki import build_uki
from image.errors import ImageError
from image.formats.cpio import write_archive
from image.formats.spdx import Component, encode_document
from image.model import Device, Directory, Entry, File, Symlink
from image.release.manifest import describe
from image.tree import Tree
from tests.helpers.efi import signer, small_sections
from tests.helpers.pe import make_stub

ENTRIES: dict[str, Entry] = {
    "bin": Symlink("usr/bin"),
    "dev/null": Device("c", 1, 3, 0o666),
    "etc": Directory(),
    "etc/passwd": File(b"root:x:0:0\n"),
    "tmp": Directory(0o1777),
    "usr/lib/modules/6.1/kernel/net/x.ko.xz": File(b"module"),
    "usr/lib/modules/6.1/modules.dep": File(b""),
}


def make_initramfs(entries: Mapping[str, Entry], time: int = 1, level: int = 1) -> bytes:
    """Return a compressed archive."""
    tree = Tree()
    for path, entry in entries.items():
        tree.add(path, entry)
    return zstandard.compress(write_archive(tree, time), level)


def make_release(folder: Path, initramfs: bytes, version: str = "1", libc: str = "2.41") -> Path:
    """Write a release."""
    folder.mkdir()
    rows = [Component("deb", "libc6", libc, f"pkg:deb/debian/libc6@{libc}", sha256="a" * 64)]
    contents = {
        "vmlinuz": b"kernel",
        "initramfs.zst": initramfs,
        "sbom.spdx.json": encode_document("os", version, "i", 0, "tool", rows),
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    files = {name: {"sha256": describe(data).sha256} for name, data in contents.items()}
    value = {"version": version, "identity": "i", "files": files}
    (folder / "manifest.json").write_text(json.dumps(value))
    return folder


def names(found: list[Difference]) -> list[str]:
    """Return each difference in a few words."""
    return [
        f"{d.what} {d.kind} {d.name}" + "".join(f", {c.field} {c.old}>{c.new}" for c in d.changes)
        for d in found
    ]


def compare_entries(tmp_path: Path, **changes: Entry | None) -> list[str]:
    """Return what is found when entries are other ones, or are not there."""
    entries = dict(ENTRIES)
    for path, entry in changes.items():
        if entry is None:
            del entries[path]
        else:
            entries[path] = entry
    for name, value in (("a", ENTRIES), ("b", entries)):
        (tmp_path / name).write_bytes(make_initramfs(value))
    return names(compare(read_side(tmp_path / "a"), read_side(tmp_path / "b")))


def test_the_same_release_twice(tmp_path: Path) -> None:
    one = make_release(tmp_path / "a", make_initramfs(ENTRIES))
    other = make_release(tmp_path / "b", make_initramfs(ENTRIES))
    assert compare(read_side(one), read_side(other)) == []
    assert cli.main(["diff", str(one), str(other)], "zos image") == 0


@pytest.mark.parametrize(
    ("path", "entry", "found"),
    [
        ("bin", Symlink("sbin"), "changed file /bin, target usr/bin>sbin"),
        ("bin", Directory(), "changed file /bin, type l>d"),
        ("tmp", Directory(0o777), "changed file /tmp, mode 1777>0777"),
        ("dev/null", Device("c", 1, 5, 0o666), "changed file /dev/null, device 1,3>1,5"),
        ("etc/passwd", File(b"root:x:0:0\n", uid=7), "changed file /etc/passwd, owner 0:0>7:0"),
        ("etc/passwd", None, "removed file /etc/passwd"),
        ("etc/shadow", File(b""), "added file /etc/shadow"),
        (
            "usr/lib/modules/6.1/kernel/net/x.ko.xz",
            File(b"Module"),
            "changed module /usr/lib/modules/KERNEL/kernel/net/x.ko.xz, content 6 bytes>6 bytes",
        ),
    ],
)
def test_entries(tmp_path: Path, path: str, entry: Entry | None, found: str) -> None:
    assert compare_entries(tmp_path, **{path: entry}) == [found]


def test_modules_of_two_kernels_are_compared(tmp_path: Path) -> None:
    other = {path.replace("/6.1/", "/6.2/"): entry for path, entry in ENTRIES.items()}
    (tmp_path / "a").write_bytes(make_initramfs(ENTRIES))
    (tmp_path / "b").write_bytes(make_initramfs(other))
    assert names(compare(read_side(tmp_path / "a"), read_side(tmp_path / "b"))) == [
        "changed artefact initramfs.zst, content "
        + ">".join(f"{(tmp_path / n).stat().st_size} bytes" for n in "ab")
    ]


def test_another_time_of_all_files_is_one_difference(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(make_initramfs(ENTRIES, 1))
    (tmp_path / "b").write_bytes(make_initramfs(ENTRIES, 2))
    found = compare(read_side(tmp_path / "a"), read_side(tmp_path / "b"))
    assert names(found) == ["changed file , time of all 1>2"]


def test_packages_and_the_manifest(tmp_path: Path) -> None:
    one = make_release(tmp_path / "a", make_initramfs(ENTRIES))
    other = make_release(tmp_path / "b", make_initramfs(ENTRIES), "2", "2.42")
    assert names(compare(read_side(one), read_side(other))) == [
        "changed manifest version, value 1>2",
        "changed package deb libc6, value 2.41 (aaaaaaaaaaaa)>2.42 (aaaaaaaaaaaa)",
    ]


def test_bytes_that_differ_are_never_called_the_same(tmp_path: Path) -> None:
    one = make_release(tmp_path / "a", make_initramfs(ENTRIES))
    other = make_release(tmp_path / "b", make_initramfs(ENTRIES, level=19))
    (found,) = compare(read_side(one), read_side(other))
    assert (found.kind, found.name) == ("artefact", "initramfs.zst")
    assert found.changes[0].lines[0] == "the same content, packed otherwise"


def test_a_folder_and_an_initramfs(tmp_path: Path) -> None:
    one = make_release(tmp_path / "a", make_initramfs(ENTRIES))
    assert compare(read_side(one), read_side(one / "initramfs.zst")) == []


def test_sections_of_ukis(tmp_path: Path) -> None:
    images = {name: make_initramfs({"etc/x": File(name.encode())}) for name in "ab"}
    for name, image in images.items():
        words = b"quiet" if name == "a" else b"quiet debug"
        sections = {**small_sections(), ".initrd": image, ".cmdline": words}
        (tmp_path / f"{name}.efi").write_bytes(build_uki(make_stub(), sections))
    found = compare(read_side(tmp_path / "a.efi"), read_side(tmp_path / "b.efi"))
    assert names(found) == [
        "changed section .cmdline, content 5 bytes>11 bytes",
        "changed file /etc/x, content 1 bytes>1 bytes",
    ]
    assert found[0].changes[0].lines == ("@@ -1 +1 @@", "-quiet", "+quiet debug")
    (tmp_path / "signed.efi").write_bytes(sign_image((tmp_path / "a.efi").read_bytes(), signer()))
    (one,) = compare(read_side(tmp_path / "a.efi"), read_side(tmp_path / "signed.efi"))
    assert one.changes[0].lines[0] == "only the signatures differ"


def test_a_release_without_an_sbom(tmp_path: Path) -> None:
    one = make_release(tmp_path / "a", make_initramfs(ENTRIES))
    side = read_side(one)
    kept = {name: data for name, data in side.artefacts.items() if name != "sbom.spdx.json"}
    old = replace(side, artefacts=kept, packages={})
    assert names(compare(old, side)) == ["added artefact sbom.spdx.json"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "etc/\x1b[2J"
    (tmp_path / "a").write_bytes(make_initramfs(ENTRIES))
    (tmp_path / "b").write_bytes(make_initramfs({**ENTRIES, hostile: File(b"")}))
    call = ["diff", str(tmp_path / "a"), str(tmp_path / "b")]
    assert cli.main(call, "zos image") == 1
    assert capsys.readouterr().out == "added file /etc/\\x1b[2J\n"
    assert cli.main([*call, "--json"], "zos image") == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert row == {"kind": "file", "name": f"/{hostile}", "what": "added", "changes": []}


@pytest.mark.parametrize(
    "manifest",
    ['{"files": {"../x": {}}}', "[]", "{", "{}", '{"files": {"vmlinuz": {}}}', "[" * 100_000],
)
def test_errors_have_another_status(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_text(manifest)
    (tmp_path / "vmlinuz").write_text("")
    with pytest.raises(ImageError) as caught:
        cli.main(["diff", str(tmp_path), str(tmp_path)], "zos image")
    assert caught.value.exit_code == 2
