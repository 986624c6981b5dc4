"""TPM event logs: their replay, and those that are damaged."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.efi.errors import FormatError
from common.efi.eventlog import SECURE_BOOT_IS, SEPARATOR, is_secure_boot_on, parse_log, replay
from image.efi.measure import foretell
from tests.helpers.efi import small_sections, small_uki
from tests.helpers.tpm.eventlog import boot_of, encode_event, encode_log, hashed


@pytest.mark.parametrize("secure", [True, False])
def test_the_replay_of_a_boot_leads_to_the_foretold_registers(secure: bool) -> None:
    events = parse_log(boot_of(small_uki(), small_sections(), secure=secure))
    assert is_secure_boot_on(events) == secure
    forecast = foretell(small_uki())
    wanted = forecast.secure_boot_on if secure else forecast.secure_boot_off
    values = replay(events)
    assert {number: values[number] for number in wanted} == wanted
    assert values[0] == bytes(31) + b"\3"


def test_secure_boot_is_not_believed_if_something_else_was_measured() -> None:
    event = encode_event(7, 0x80000001, bytes(32), SECURE_BOOT_IS + b"\1")
    assert not is_secure_boot_on(parse_log(encode_log(event, hashed(7, 4, SEPARATOR))))


def test_secure_boot_is_not_believed_if_it_was_measured_after_the_firmwares_phase() -> None:
    """A program extends the register, and gives the firmware's own event another kind."""
    hidden = hashed(7, 0x80000002, SECURE_BOOT_IS + b"\0")
    claim = hashed(7, 0x80000001, SECURE_BOOT_IS + b"\1")
    for events in ((hidden, hashed(7, 4, SEPARATOR), claim), (hidden, claim)):
        assert not is_secure_boot_on(parse_log(encode_log(*events)))
    both = (hashed(7, 0x80000001, SECURE_BOOT_IS + b"\0"), claim, hashed(7, 4, SEPARATOR))
    assert not is_secure_boot_on(parse_log(encode_log(*both)))


def test_an_event_is_described() -> None:
    (event,) = parse_log(
        encode_log(hashed(4, 0x80000003, "\\EFI\\BOOT\\X.EFI".encode("utf-16-le")))
    )
    assert event.text == "application: \\EFI\\BOOT\\X.EFI"
    (event,) = parse_log(encode_log(hashed(11, 13, b".linux\0")))
    assert event.text == "IPL: .linux"
    (event,) = parse_log(encode_log(encode_event(1, 0x99, bytes(32))))
    assert event.text == "0x99"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut off"),
        (bytes(400), "cut off"),
        (struct.pack("<II20sI", 0, 3, b"", 40) + b"x" * 40, "not an event log of a TPM 2.0"),
        (encode_log(struct.pack("<III", 0, 4, 1 << 30)), "an event is damaged"),
        (encode_log(struct.pack("<IIIH", 0, 4, 1, 99)), "unknown kind of digest"),
        (encode_log(struct.pack("<IIII", 0, 4, 0, 0)), "no SHA-256 digest"),
        (encode_log(hashed(4, 4, b"data"))[:-1], "cut off"),
    ],
)
def test_a_damaged_log_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse_log(data)


@given(at=st.integers(0, 2000), value=st.integers(0, 255))
def test_no_damage_leads_to_another_error(at: int, value: int) -> None:
    log = bytearray(boot_of(small_uki(), small_sections(), secure=True))
    log[at % len(log)] = value
    with contextlib.suppress(FormatError):
        replay(parse_log(bytes(log)))
