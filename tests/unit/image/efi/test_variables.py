"""Signed variables, taken apart as firmware does."""

import datetime
import struct

from common.efi.keys import is_signature, public_key
from image.efi.variables import GLOBAL, PKCS7, X509, owner_of, sign_variable, signature_list
from tests.helpers.efi import signer

WHEN = datetime.datetime(2030, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)


def test_a_signature_list_has_one_certificate_each() -> None:
    certificates = [signer("db").certificate, signer("PK").certificate]
    owner = owner_of(signer("PK").certificate)
    data, found = signature_list(certificates, owner), []
    while data:
        kind, (size, header, each) = data[:16], struct.unpack_from("<III", data, 16)
        assert (kind, header, size) == (X509.bytes_le, 0, 28 + each)
        assert data[28:44] == owner.bytes_le
        found.append(data[44:size])
        data = data[size:]
    assert len(found) == 2


def test_the_signature_is_of_name_attributes_time_and_content() -> None:
    data = sign_variable("KEK", b"content", signer("PK"), WHEN)
    time, (size, revision, kind) = data[:16], struct.unpack_from("<IHH", data, 16)
    assert time == struct.pack("<HBBBBBBIhBB", 2030, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0)
    assert (revision, kind) == (0x0200, 0x0EF1)
    assert data[24:40] == PKCS7.bytes_le
    assert data[16 + size :] == b"content"
    signed = "KEK".encode("utf-16-le") + GLOBAL.bytes_le + struct.pack("<I", 0x27) + time
    public = public_key(signer("PK").certificate)
    signature = data[16 + size - public.key_size // 8 : 16 + size]
    assert is_signature(public, signature, signed + b"content")
