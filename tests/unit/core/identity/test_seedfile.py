"""Seed files: upstream's forms, and that no file is ever changed."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity.choose import Places, choose
from core.identity.model import Identity, IdentityError
from core.identity.places import SEED as SEED_FILE
from core.identity.seedfile import decode_seed, encode_seed, read_seed, write_seed
from tests.helpers.samples import samples_dir

SEED = bytes(range(32))
WORDS = (  # the words of BIP 39's test vector for 32 bytes of 0x7f
    "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth "
    "useful legal winner thank year wave sausage worth title"
)


def recorded(table: str) -> list[dict[str, Any]]:
    """Return a table that upstream's code made."""
    rows: list[dict[str, Any]] = json.loads(
        (samples_dir() / "capacity" / "derivations.json").read_text()
    )[table]
    assert rows
    return rows


def test_the_files_and_names_are_upstreams(tmp_path: Path) -> None:
    for number, row in enumerate(recorded("identities")):
        path, seed = tmp_path / str(number), bytes.fromhex(row["seed"])
        write_seed(path, seed)
        assert path.read_bytes() == bytes.fromhex(row["seed_file_hex"])
        assert path.stat().st_mode & 0o777 == int(row["seed_file_mode"], 8)
        identity = Identity(read_seed(path) or b"", "disk")
        assert (identity.node, identity.address) == (row["node_id"], row["ss58_address"])
        assert identity.public.hex() == row["public_key"]
        assert "seed" not in repr(identity) and row["seed"] not in repr(identity)


def test_versioned_files_are_read_as_upstream_reads_them() -> None:
    for row in recorded("versioned_files"):
        content, version = bytes.fromhex(row["file_hex"]), row["version"]
        if version == "1.0.0":
            assert decode_seed(content) == bytes.fromhex(row["data_hex"])
        elif version == "1.1.0":
            assert len(decode_seed(content)) == 32
        else:
            with pytest.raises(IdentityError):
                decode_seed(content)


def test_words_stand_for_their_bytes() -> None:
    assert decode_seed(b'"1.1.0"' + json.dumps({"mnemonic": WORDS}).encode()) == b"\x7f" * 32


def test_a_file_of_32_bytes_is_one_of_the_first_nodes() -> None:
    assert decode_seed(b"\xff" * 32) == b"\xff" * 32


@pytest.mark.parametrize(
    "content",
    [
        b"", b"x", b'"1.0.0"', b'"1.0.0"' + bytes(31), b'"1.0.0"' + bytes(33), bytes(33),
        b'"1.1.0"' + bytes(32), b'"1.1.0"{}', b'"1.1.0"[1]', b'"1.1.0"{"mnemonic": "legal winner"}',
        b'"1.1.0"' + json.dumps({"mnemonic": WORDS.replace("title", "winner")}).encode(),
        b'"2.0.0"' + bytes(32), b'"1.0.0"' + bytes(5000), b'"1.1.0"' + b"[" * 4000,
    ],
)  # fmt: skip
def test_a_damaged_file_is_named_and_never_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / SEED_FILE
    path.write_bytes(content)
    with pytest.raises(IdentityError, match=str(path)):
        read_seed(path)
    found = choose(Places(None, tmp_path))
    assert found.kind == "ephemeral"
    assert str(path) in found.why
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link"])
def test_what_is_no_file_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / SEED_FILE
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(tmp_path / "nowhere")
    found = choose(Places(None, tmp_path))
    assert (found.kind, str(path) in found.why) == ("ephemeral", True)
    assert list(tmp_path.iterdir()) == [path]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_seed_or_an_error(data: bytes) -> None:
    for content in (data, b'"1.0.0"' + data, b'"1.1.0"' + data):
        with contextlib.suppress(IdentityError):
            assert len(decode_seed(content)) == 32


def test_an_existing_file_is_not_replaced(tmp_path: Path) -> None:
    write_seed(tmp_path / SEED_FILE, SEED)
    with pytest.raises(IdentityError, match="it is there already"):
        write_seed(tmp_path / SEED_FILE, bytes(32))
    assert (tmp_path / SEED_FILE).read_bytes() == encode_seed(SEED)
