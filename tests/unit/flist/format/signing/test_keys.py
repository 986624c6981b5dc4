"""Key files: written completely or not at all, and refused if they hold the other kind of key."""

import base64
import errno
import os
from pathlib import Path

import pytest

from common.publickeys import parse_public_keys
from flist.errors import FlistError
from flist.format.signing.keys import generate_key, load_private_key, load_public_keys, public_text


def test_key_files(tmp_path: Path) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    path = tmp_path / "keys"
    path.write_text(f"# trusted\n\n{key} # ours\n")
    assert load_public_keys(path) == [b"k" * 32]
    path.write_text("# none\n")
    with pytest.raises(FlistError, match="there is no key"):
        load_public_keys(path)
    path.write_text("not a key")
    with pytest.raises(FlistError, match="line 1"):
        load_public_keys(path)
    generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="exists already"):
        generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="private key"):
        load_private_key(path)


def test_a_key_is_written_completely_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_source: object, _target: object) -> None:
        assert not (tmp_path / "k").exists()
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", stop)
        with pytest.raises(FlistError, match="Input/output error"):
            generate_key(tmp_path / "k")
    assert list(tmp_path.iterdir()) == []
    generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="exists already"):
        generate_key(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
    assert load_private_key(tmp_path / "k")


def test_a_private_key_is_not_accepted_as_a_public_one(tmp_path: Path) -> None:
    private = generate_key(tmp_path / "key")
    with pytest.raises(ValueError, match=r"line 1 is a private key; .* \.pub"):
        parse_public_keys((tmp_path / "key").read_text())
    (tmp_path / "old").write_text(base64.b64encode(private.private_bytes_raw()).decode())
    again = load_private_key(tmp_path / "old")  # the format of earlier versions of keygen
    assert public_text(again) == public_text(private)
