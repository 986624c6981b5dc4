"""A real (software) TPM's quote: verified, and refused if a byte of it differs."""

import base64
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.efi.eventlog import NO_ACTION, parse_log, replay
from common.nodes.quote import REGISTERS, Quoted, QuoteError, verify
from core.identity.quoting import CERTIFICATES, quote
from image.efi.measure import foretell_sections
from tests.helpers.efi import signer
from tests.helpers.tpm.machine import SoftTpm, boot, running_tpm, sections_of

pytestmark = pytest.mark.timeout(300)
NODE, NONCE = "node", "a nonce"


@pytest.fixture(scope="module")
def tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoftTpm]:
    with running_tpm(tmp_path_factory.mktemp("tpm")) as tpm:
        yield tpm


@pytest.fixture(scope="module")
def log(tpm: SoftTpm) -> bytes:
    """Return the event log of a boot."""
    return boot(tpm, sections_of("1", None), tpm.folder / "measured").event_log


@pytest.fixture(scope="module")
def quoted(tpm: SoftTpm, log: bytes) -> dict[str, Any]:
    """Return a quote of it."""
    return quote(tpm.tools(), log, NODE, NONCE)


def flip(data: bytes, at: int, bit: int) -> bytes:
    """Return the data with another byte."""
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def altered(fields: dict[str, Any], name: str, data: bytes) -> dict[str, Any]:
    """Return the quote with another field."""
    return fields | {name: base64.b64encode(data).decode()}


def test_it_says_how_the_node_booted(quoted: dict[str, Any], log: bytes) -> None:
    said = verify(quoted, NODE, NONCE)
    assert tuple(said.registers) == REGISTERS
    assert said.secure_boot
    assert said.registers[11] == foretell_sections(sections_of("1", None))
    assert said.registers[5] == bytes(32)
    assert said.events == tuple(parse_log(log))
    assert said.endorsement is None


def test_the_key_is_the_same_after_a_reboot(tpm: SoftTpm, quoted: dict[str, Any]) -> None:
    tpm.reboot()
    tpm.measure(log := boot(tpm, sections_of("2", None), tpm.folder / "measured").event_log)
    again = quote(tpm.tools(), log, NODE, "another")
    assert again["ak"] == quoted["ak"]


def test_it_is_of_one_node_and_one_nonce(quoted: dict[str, Any]) -> None:
    for node, nonce in (("other", NONCE), (NODE, "old"), ("nod", "e\0a nonce")):
        with pytest.raises(QuoteError, match="another node, or an older one"):
            verify(quoted, node, nonce)


@pytest.mark.parametrize("name", ["ak", "attest", "signature"])
def test_no_byte_of_it_may_differ(quoted: dict[str, Any], name: str) -> None:
    data = base64.b64decode(quoted[name])
    for at in range(len(data)):
        for bit in (0x01, 0x80):
            with pytest.raises(QuoteError):
                verify(altered(quoted, name, flip(data, at, bit)), NODE, NONCE)
    for wrong in (data[:-1], data + b"\0", b""):
        with pytest.raises(QuoteError):
            verify(altered(quoted, name, wrong), NODE, NONCE)


def test_a_log_with_another_byte_changes_nothing_that_is_proven(
    quoted: dict[str, Any], log: bytes
) -> None:
    """What an event says of itself is not measured; its digest is."""
    truth = verify(quoted, NODE, NONCE)
    for at in range(len(log)):
        wrong = zlib.compress(flip(log, at, 1))
        try:
            said = verify(altered(quoted, "event_log", wrong), NODE, NONCE)
        except QuoteError:
            continue
        assert proven(said)[:2] == proven(truth)[:2]
        assert said.secure_boot in (truth.secure_boot, False)


def proven(said: Quoted) -> tuple[object, ...]:
    """Return what the TPM vouches for."""
    digests = [(event.pcr, event.digest) for event in said.events if event.kind != NO_ACTION]
    return said.registers, said.ak, digests


def test_a_log_of_another_boot_is_refused(quoted: dict[str, Any], log: bytes) -> None:
    events = parse_log(log)
    assert replay(events)
    for wrong in (b"", log[: len(log) // 2], log * 2):
        with pytest.raises(QuoteError):
            verify(altered(quoted, "event_log", zlib.compress(wrong)), NODE, NONCE)


@pytest.mark.parametrize(
    "data", [zlib.compress(bytes(64 << 20)), zlib.compress(b"x")[:-1], zlib.compress(b"x") + b"x"]
)
def test_a_log_that_is_no_log_is_refused_at_a_bounded_cost(
    quoted: dict[str, Any], data: bytes
) -> None:
    with pytest.raises(QuoteError):
        verify(altered(quoted, "event_log", data), NODE, NONCE)


@pytest.mark.parametrize(
    "change", [{"ak": None}, {"ak": 7}, {"more": ""}, {"ak": "x" * (1 << 20)}, {"ek": "eHg="}]
)
def test_other_fields_are_refused(quoted: dict[str, Any], change: dict[str, Any]) -> None:
    with pytest.raises(QuoteError):
        verify(quoted | change, NODE, NONCE)
    others: list[Any] = [{}, [], None, {name: quoted[name] for name in ("ak", "attest")}]
    for other in others:
        with pytest.raises(QuoteError):
            verify(other, NODE, NONCE)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(name=st.sampled_from(["ak", "attest", "signature", "event_log", "ek"]), data=st.data())
def test_any_other_bytes_are_refused(
    quoted: dict[str, Any], name: str, data: st.DataObject
) -> None:
    good = base64.b64decode(quoted.get(name, ""))
    start = data.draw(st.integers(0, len(good)))
    wrong = good[:start] + data.draw(st.binary(max_size=64))
    if wrong != good:
        with pytest.raises(QuoteError):
            verify(altered(quoted, name, wrong), NODE, NONCE)


def test_the_certificate_of_the_endorsement_key_comes_with_it(tpm: SoftTpm, log: bytes) -> None:
    certificate = signer().certificate
    content = certificate.public_bytes(Encoding.DER)
    tools = tpm.tools()
    place = f"{CERTIFICATES[1]:#x}"
    tools.run("nvdefine", "-C", "o", "-s", "1600", "-a", "ownerread|ownerwrite", place)
    tools.write("certificate", content.ljust(1600, b"\xff"))
    tools.run("nvwrite", "-C", "o", "-i", "certificate", place)
    log = boot(tpm, sections_of("1", None), tpm.folder / "measured").event_log
    said = verify(quote(tpm.tools(), log, NODE, NONCE), NODE, NONCE)
    assert said.endorsement == certificate
