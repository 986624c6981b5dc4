"""Sealed files: damage is noticed, wherever it is."""

import hashlib
import tarfile
from io import BufferedReader
from pathlib import Path

import pytest

from common.debian.archive import PackageError, open_archive
from common.sealed import is_intact, read_sealed, seal_file, sealed_digest, write_sealed


def test_any_damaged_byte_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert read_sealed(path) is None
    write_sealed(path, b"a\nb")
    assert read_sealed(path) == b"a\nb"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert read_sealed(path) is None
        path.write_bytes(whole[:at])
        assert read_sealed(path) is None


def test_a_seal_beside_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not is_intact(path)
    path.write_bytes(b"content")
    assert not is_intact(path)
    seal_file(path, path)
    assert is_intact(path)
    assert len(sealed_digest(path)) == 64
    path.write_bytes(b"contenT")
    assert not is_intact(path)


def test_a_damaged_archive_of_packages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    tarfile.open(path, "w").close()
    seal_file(path, path)
    with open_archive(path) as archive:
        assert archive.paths == []
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    with (
        pytest.raises(PackageError, match="does not match its SHA-256"),
        open_archive(path),
    ):
        pass


def test_a_file_is_read_through_once_while_nothing_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    seal_file(path, path)
    reads: list[object] = []
    digest = hashlib.file_digest

    def noted(stream: BufferedReader, name: str) -> object:
        reads.append(stream)
        return digest(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", noted)
    monkeypatch.setattr("common.sealed.SETTLED_S", 1000.0)
    assert is_intact(path)
    assert is_intact(path)
    assert len(reads) == 2  # it has just been written, and may change without a change of its time
    monkeypatch.setattr("common.sealed.SETTLED_S", -1.0)
    assert is_intact(path)
    assert is_intact(path)
    assert len(reads) == 3
    path.write_bytes(b"other content")
    assert not is_intact(path)
    path.rename(tmp_path / "old")
    path.write_bytes(b"content")
    assert is_intact(path)
    assert len(reads) == 5
