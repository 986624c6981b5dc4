"""What a boot's files say: only what the key signed of PCR 11 counts, and damage is no policy."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.efi.keys import fingerprint
from core.identity.measured import Measured, parse_signatures, read_measured
from core.identity.places import EVENT_LOG, PUBLIC_KEY, SIGNATURES
from image.efi.measure import foretell_sections, policy_digest
from tests.helpers.efi import small_uki
from tests.helpers.tpm.eventlog import boot_of
from tests.helpers.tpm.machine import release_key, sections_of

KEY = release_key(rsa.generate_private_key(65537, 2048))
SECTIONS = sections_of("1", KEY)
SIGNER = fingerprint(KEY.public)


def write(folder: Path, signatures: bytes, key: bytes) -> Path:
    """Write the files of a boot."""
    (folder / SIGNATURES).write_bytes(signatures)
    (folder / PUBLIC_KEY).write_bytes(key)
    return folder


def test_the_files_of_a_signed_release_are_read(tmp_path: Path) -> None:
    write(tmp_path, SECTIONS[".pcrsig"], SECTIONS[".pcrpkey"])
    (tmp_path / EVENT_LOG).write_bytes(boot_of(small_uki(), SECTIONS, secure=True))
    found = read_measured(tmp_path)
    assert (found.signer.hex(), found.is_secure_boot_on) == (SIGNER, True)
    policy = policy_digest(foretell_sections(SECTIONS))
    signed = found.find(policy)
    assert signed is not None and signed.signature
    assert found.find(bytes(32)) is None


def test_without_files_there_is_nothing(tmp_path: Path) -> None:
    assert read_measured(tmp_path) == read_measured(tmp_path / "none") == Measured()
    assert not Measured(event_log=b"damaged").is_secure_boot_on


def test_a_key_of_another_kind_is_none(tmp_path: Path) -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for key in (b"", b"x", pem):
        assert read_measured(write(tmp_path, SECTIONS[".pcrsig"], key)) == Measured()


@pytest.mark.parametrize(
    "change", [{"pcrs": [7]}, {"pcrs": [7, 11]}, {"pkfp": "00" * 32}, {"pkfp": None}]
)
def test_other_rows_are_left_out(change: dict[str, Any]) -> None:
    row = json.loads(SECTIONS[".pcrsig"])["sha256"][0]
    assert len(parse_signatures(json.dumps({"sha256": [row]}).encode(), SIGNER)) == 1
    assert parse_signatures(json.dumps({"sha256": [row | change]}).encode(), SIGNER) == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"sha256": 7}', b'{"sha256": [7]}', b'{"sha256": {}}', b"[" * 10_000,
     b'{"sha256": [{"pcrs": [11]}]}'],
)  # fmt: skip
def test_damage_is_no_policy(data: bytes) -> None:
    assert parse_signatures(data, SIGNER) == ()
