"""Callers' certificates: made, checked, and refused for each thing that can be wrong with them."""

import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.certificates.check import check_certificate
from core.certificates.farmkey import parse_public, public_of, show_public
from core.certificates.issue import DAYS_MAX, begin, issue
from core.certificates.names import CertificateError, Holder, Role, parse_uri

FARM = 4711
KEY = Ed25519PrivateKey.generate()
NOW = datetime.datetime(2026, 6, 1, 12, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)
ANNA = Holder(FARM, Role.OPERATOR, "anna")


def der_of(pem: str) -> bytes:
    return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)


def check(data: bytes, now: datetime.datetime = NOW, farm: int = FARM) -> Holder:
    return check_certificate(data, farm, public_of(KEY), now)


def made(
    *, use: Any = ExtendedKeyUsageOID.CLIENT_AUTH, uris: tuple[str, ...] = (ANNA.uri,)
) -> bytes:
    """Return a certificate by the farm's key that may be for something else."""
    builder = begin(KEY, Ed25519PrivateKey.generate(), "anna", (NOW - DAY, NOW + DAY))
    if use:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, None).public_bytes(Encoding.DER)


@pytest.mark.parametrize("role", Role)
def test_what_is_issued_is_accepted(role: Role) -> None:
    holder = Holder(FARM, role, "anna")
    _, certificate = issue(KEY, holder, 1, NOW)
    assert check(der_of(certificate)) == holder


@pytest.mark.parametrize(
    ("moment", "reason"),
    [(NOW + 2 * DAY, "was valid until 2026-06-02"), (NOW - DAY, "is valid from 2026-06-01")],
)
def test_the_time_is_that_of_the_nodes_clock(moment: datetime.datetime, reason: str) -> None:
    _, certificate = issue(KEY, ANNA, 1, NOW)
    with pytest.raises(CertificateError, match=reason) as caught:
        check(der_of(certificate), moment)
    assert f"the node's clock says {moment:%Y-%m-%d %H:%M}" in caught.value.message


def test_another_key_is_refused() -> None:
    _, certificate = issue(Ed25519PrivateKey.generate(), ANNA, 1, NOW)
    with pytest.raises(CertificateError, match="not by the key"):
        check(der_of(certificate))


def test_another_farm_is_refused_though_it_has_the_same_key() -> None:
    _, certificate = issue(KEY, Holder(9, Role.FARMER, "anna"), 1, NOW)
    with pytest.raises(CertificateError, match="for farm 9"):
        check(der_of(certificate))


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"use": ExtendedKeyUsageOID.SERVER_AUTH}, "not for a client"),
        ({"use": None}, "does not say what it is for"),
        ({"uris": ()}, "names no role"),
        ({"uris": (ANNA.uri, Holder(FARM, Role.FARMER, "anna").uri)}, "names no role"),
        ({"uris": (f"zos:farm/{FARM}/role/root/anna",)}, "names no role"),
        ({"uris": (f"https://example/{ANNA.uri}",)}, "names no role"),
    ],
)
def test_certificates_for_something_else_are_refused(how: dict[str, Any], reason: str) -> None:
    assert check(made()) == ANNA
    with pytest.raises(CertificateError, match=reason):
        check(made(**how))


@pytest.mark.parametrize("data", [b"", b"\x30", b"x" * 1000, made()[:-1]])
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(CertificateError):
        check(data)


def test_a_change_of_any_byte_is_refused() -> None:
    good = made()
    for at in range(0, len(good), 7):
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises(CertificateError):
            check(bad)


@pytest.mark.parametrize("days", [0, -1, DAYS_MAX + 1])
def test_long_lives_are_refused(days: int) -> None:
    with pytest.raises(CertificateError):
        issue(KEY, ANNA, days, NOW)


@pytest.mark.parametrize(("farm", "name"), [(0, "a"), (2**32, "a"), (1, ""), (1, "a/b"), (1, "é")])
def test_holders_that_do_not_fit_are_refused(farm: int, name: str) -> None:
    with pytest.raises(CertificateError):
        Holder(farm, Role.READER, name)


@pytest.mark.parametrize(
    "text", ["", "zos:farm/1/role/reader/", "zos:farm/01/role/reader/a", "zos:farm/1/role/READER/a"]
)
def test_other_uris_are_refused(text: str) -> None:
    with pytest.raises(CertificateError):
        parse_uri(text)


def test_the_farms_key_as_a_word() -> None:
    assert parse_public(show_public(public_of(KEY))) == public_of(KEY)
    for text in ("", "x", "A" * 42, "A" * 44, "A" * 42 + "*"):
        with pytest.raises(CertificateError):
            parse_public(text)
