"""The foretold registers, against values of systemd-measure."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.efi.authenticode import sign_image
from common.efi.keys import is_signature
from common.efi.sources import open_key
from image.efi.measure import encode_public, foretell, foretell_sections, policy_digest, sign_policy
from tests.helpers.efi import secure_boot_keys, signer, small_sections, small_uki

# systemd-measure 257 with these contents: `calculate --phase=`, and what `sign` signs.
SECTIONS = {
    ".linux": b"linux",
    ".osrel": b"osrel",
    ".cmdline": b"cmdline",
    ".initrd": b"initrd",
    ".ucode": b"ucode",
    ".uname": b"uname",
    ".sbat": b"sbat",
    ".pcrpkey": b"pcrpkey",
}
REGISTER = "c7f890372d25aae15c42bfbf970ccc5d9dba9b3fdef2f8957d81cea5883eb954"
POLICY = "24c93c23ac6bae9ef3cc4582186b1baca1bc9b57b500c0cd1dfdc6a7e21cd4e4"


def test_the_register_of_the_sections_is_that_of_systemd_measure() -> None:
    assert foretell_sections(SECTIONS).hex() == REGISTER
    assert foretell_sections({**SECTIONS, ".pcrsig": b"not measured"}).hex() == REGISTER
    assert foretell_sections(dict(reversed(SECTIONS.items()))).hex() == REGISTER
    assert foretell_sections({**SECTIONS, ".cmdline": b"other"}).hex() != REGISTER


def test_a_signature_changes_no_register() -> None:
    forecast = foretell(small_uki())
    assert foretell(sign_image(small_uki(), signer())) == forecast
    assert forecast.secure_boot_on[11] == forecast.secure_boot_off[11]
    assert forecast.secure_boot_on[4] != forecast.secure_boot_off[4]


def test_the_policy_of_a_register_is_signed() -> None:
    key = open_key(str(secure_boot_keys() / "db.key"))
    sections = sign_policy(small_sections(), key)
    assert sections[".pcrpkey"] == encode_public(key.public)
    assert policy_digest(foretell_sections(SECTIONS)).hex() == POLICY
    (row,) = json.loads(sections[".pcrsig"])["sha256"]
    policy = policy_digest(foretell_sections(sections))
    assert row["pcrs"] == [11]
    assert row["pol"] == policy.hex()
    public = key.public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert row["pkfp"] == hashlib.sha256(public).hexdigest()
    assert is_signature(key.public, base64.b64decode(row["sig"]), policy)
