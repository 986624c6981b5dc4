"""Quotes by a key in this process: what must hold of them, beside the signature."""

import base64
import struct
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from common.nodes.quote import SELECTION, QuoteError, qualifying_data, select, verify
from tests.helpers.efi import small_sections, small_uki
from tests.helpers.tpm.eventlog import boot_of, encode_event, encode_log
from tests.helpers.tpm.quotes import attest, make_quote, public_of

KEY = ec.generate_private_key(ec.SECP256R1())
LOG = boot_of(small_uki(), small_sections(), secure=True)
NODE, NONCE = "node", "nonce"
QUOTE = make_quote(KEY, LOG, NODE, NONCE)
SAID = base64.b64decode(QUOTE["attest"])


def signed(said: bytes, public: bytes = public_of(KEY)) -> dict[str, Any]:
    """Return the quote with something else that the same key has signed."""
    fields = {"attest": said, "signature": KEY.sign(said, ec.ECDSA(SHA256())), "ak": public}
    return QUOTE | {name: base64.b64encode(value).decode() for name, value in fields.items()}


def test_a_good_one_is_verified() -> None:
    found = verify(QUOTE, NODE, NONCE)
    assert found.secure_boot and found.resets == 2
    assert found == verify(signed(SAID), NODE, NONCE)


def test_what_the_key_signs_else_is_no_quote() -> None:
    assert SELECTION in SAID
    wrong = {
        "magic": b"\0" + SAID[1:],
        "another structure": SAID[:4] + struct.pack(">H", 0x8017) + SAID[6:],
        "fewer registers": SAID.replace(SELECTION, select((0, 7))),
        "SHA-1": SAID.replace(SELECTION, SELECTION.replace(b"\x00\x0b", b"\x00\x04", 1)),
        "more": SAID + b"\0",
        "less": SAID[:-1],
        "nothing": b"",
    }
    for what, said in wrong.items():
        with pytest.raises(QuoteError):
            verify(signed(said), NODE, NONCE)
            pytest.fail(what)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"\x00\x01"),  # RSA
        (2, b"\x00\x04"),  # named by SHA-1
        (4, struct.pack(">I", 0x0004_0472)),  # not restricted: it signs what it is given
        (4, struct.pack(">I", 0x0005_0462)),  # it can be copied
        (8, b"\x00\x01x"),  # a policy
        (16, b"\x00\x04"),  # P-384
    ],
)
def test_a_key_of_another_form_is_refused(place: int, value: bytes) -> None:
    public = public_of(KEY)
    wrong = public[:place] + value + public[place + len(value) :]
    with pytest.raises(QuoteError, match="no attestation key"):
        verify(signed(SAID, wrong), NODE, NONCE)


def test_a_key_of_another_hierarchy_is_refused() -> None:
    """The TPM says in the quote who signs; a name for the owner hierarchy differs."""
    other = ec.generate_private_key(ec.SECP256R1())
    said = attest(public_of(other), LOG, qualifying_data(NODE, NONCE))
    with pytest.raises(QuoteError, match="none of the endorsement hierarchy"):
        verify(signed(said), NODE, NONCE)


def test_a_point_off_the_curve_is_refused() -> None:
    public = public_of(KEY)
    for wrong in (public[:-1] + bytes([public[-1] ^ 1]), public + b"\0", public[:-40]):
        with pytest.raises(QuoteError):
            verify(signed(SAID, wrong), NODE, NONCE)


def test_a_log_of_very_many_events_is_refused() -> None:
    log = encode_log(*[encode_event(0, 4, bytes(32))] * 10_001)
    with pytest.raises(QuoteError, match="too many events"):
        verify(make_quote(KEY, log, NODE, NONCE), NODE, NONCE)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(name=st.sampled_from(sorted(QUOTE)), value=JSON)
def test_any_other_json_is_refused(name: str, value: Any) -> None:
    for wrong in (QUOTE | {name: value}, value):
        with pytest.raises(QuoteError):
            verify(wrong, NODE, NONCE)


@given(st.binary(max_size=300))
def test_any_signed_bytes_are_a_quote_or_refused(said: bytes) -> None:
    for data in (said, SAID[: len(said)] + said):
        with pytest.raises(QuoteError):
            verify(signed(data), NODE, NONCE)
