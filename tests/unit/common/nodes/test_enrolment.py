"""Enrolment tokens, verified with the public key only, as a registry has it."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from common.nodes.enrolment import (
    CONTEXT,
    HEAD,
    Enrolment,
    TokenError,
    encode,
    make_token,
    verify_token,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()
ENROLMENT = Enrolment(4711, "prod", "ab" * 32)


def test_a_token_says_the_farm() -> None:
    assert verify_token(PUBLIC, make_token(KEY.sign, ENROLMENT)) == ENROLMENT


def test_another_keys_token_is_refused() -> None:
    token = make_token(Ed25519PrivateKey.generate().sign, ENROLMENT)
    with pytest.raises(TokenError, match="not one of this server"):
        verify_token(PUBLIC, token)


@pytest.mark.parametrize("run_mode", [b"", b"\xff", b"production", b"prod "])
def test_a_signed_token_with_an_unknown_run_mode_is_refused(run_mode: bytes) -> None:
    payload = HEAD.pack(1, 4711, bytes(32)) + run_mode
    with pytest.raises(TokenError):
        verify_token(PUBLIC, encode(payload + KEY.sign(CONTEXT + payload)))


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TokenError):
        verify_token(PUBLIC, encode(data))
