"""Signed heads, and what witnesses say of them."""

import pytest

from registry.errors import RegistryError
from registry.log.notes import (
    COSIGNATURE,
    ED25519,
    Head,
    Verifier,
    cosign,
    find_signature,
    parse_head,
    parse_verifier,
    sign_head,
    split_note,
)
from tests.helpers.registry.site import Signer, make_site

# The example of the specification of signed notes (golang.org/x/mod/sumdb/note).
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2"
    "pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
HEAD = Head("example.org/log", 7, bytes(range(32)))


def test_a_note_of_another_implementation_is_verified() -> None:
    verifier = parse_verifier(PETER)
    assert str(verifier) == PETER
    text, lines = split_note(NOTE)
    assert find_signature(text, lines, verifier) == lines[0]
    assert find_signature(text.replace("you", "we"), lines, verifier) is None


def test_a_head_says_what_was_signed() -> None:
    signer = Signer(3)
    verifier = Verifier("example.org/log", ED25519, signer.public)
    note = sign_head(HEAD, verifier, signer.private.sign)
    text, lines = split_note(note)
    assert parse_head(text) == HEAD
    assert find_signature(text, lines, verifier)
    assert find_signature(text, lines, parse_verifier(PETER)) is None


@pytest.mark.parametrize(
    "text",
    ["", "a\n", "a\n1\n", "a\n-1\nAA==\n", f"a\n01\n{HEAD.text.splitlines()[2]}\n", "a\n²\nAA==\n"],
)
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(RegistryError, match="no head"):
        parse_head(text)


@pytest.mark.parametrize("text", ["", "x", "x+y", PETER.replace("c74f", "c740"), PETER[:-4]])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(RegistryError, match="no key"):
        parse_verifier(text)


def test_witnesses_cosign_the_log() -> None:
    witness = Signer(9)
    key = Verifier("witness.example", COSIGNATURE, witness.public)
    site = make_site(witness=[str(key)])
    site.add_farm()
    assert site.send("GET", "/api/v1/log/cosigned")[0] == 404
    note = site.get("/api/v1/log/head")["note"]
    text, _ = split_note(note)
    line = cosign(text, 1_790_000_000, key, witness.private.sign)
    address = "/api/v1/log/cosignatures"
    assert site.send("POST", address, note.encode())[0] == 403  # nobody has cosigned it
    forged = cosign(text, 1, key, Signer(8).private.sign)
    assert site.send("POST", address, (note + forged).encode())[0] == 403
    assert site.send("POST", address, f"{text}\n{line}".encode())[0] == 422  # not the registry's
    assert site.send("POST", address, (note + line).encode()) == (204, "")
    assert site.get("/api/v1/log/cosigned") == note + line
    site.add_farm("two")
    assert site.get("/api/v1/log/cosigned") == note + line


def test_no_head_of_another_log_is_kept() -> None:
    witness = Signer(9)
    key = Verifier("witness.example", COSIGNATURE, witness.public)
    site = make_site(witness=[str(key)])
    site.add_farm()
    log = site.registry.log
    other = Head(log.verifier.name, 1, bytes(32))  # as if the registry had shown two histories
    note = log.sign(other) + cosign(other.text, 1, key, witness.private.sign)
    status, said = site.send("POST", "/api/v1/log/cosignatures", note.encode())
    assert (status, said["detail"]) == (409, "the head is not one of this log")
