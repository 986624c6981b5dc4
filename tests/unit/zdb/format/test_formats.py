"""The files, byte for byte. The bytes follow upstream's structures; the checksums and records are
what the recorded 0-db answered to DATA RAW."""

import pytest

from zdb.errors import DamagedError
from zdb.format import data, index, namespace
from zdb.format.data import Record
from zdb.format.index import Entry
from zdb.format.namespace import Descriptor


def test_the_checksum_is_the_recorded_one() -> None:
    assert data.checksum(b"payload") == 0x4FDD031D
    assert data.checksum(b"changed") == 0x674CE93F
    assert data.checksum(b"") == 0


def test_a_data_file_has_upstreams_header() -> None:
    head = data.pack_header(0x5F5E1000, 7)
    assert head == bytes.fromhex("44415430 03000000 00105e5f00000000 0000000000000000 07000000")
    assert data.read_header(head, 7, "d7") == 0x5F5E1000


def test_a_record_has_upstreams_bytes() -> None:
    blob = data.pack_record(b"abc", b"payload", 28, 0x4FDD031D, 0, 1600000000)
    assert blob == bytes.fromhex("03 07000000 1c000000 1d03dd4f 00 00105e5f") + b"abcpayload"
    found = data.unpack_record(blob, 56)
    assert found == Record(56, b"abc", 7, 28, 0x4FDD031D, 0, 1600000000)
    assert found.end == 56 + len(blob)


def test_a_deletion_has_a_flag_and_no_value() -> None:
    blob = data.pack_record(b"abc", b"", 56, 0, data.DELETED, 1600000002)
    assert blob == bytes.fromhex("03 00000000 38000000 00000000 01 02105e5f") + b"abc"
    found = data.unpack_record(blob, 84)
    assert found is not None and found.is_deletion


def test_an_index_file_has_upstreams_header() -> None:
    head = index.pack_header(0x5F5E1000, 2, "seq")
    assert head == bytes.fromhex("49445830 04000000 00105e5f00000000 00105e5f00000000 02000000 01")
    assert index.read_header(head, 2, "i2") == "seq"


def test_an_entry_has_upstreams_bytes() -> None:
    entry = Entry(56, 7, 29, 0, 2, 1600000001, 0x674CE93F, 1, 66, b"abc")
    blob = entry.pack()
    assert (
        blob
        == bytes.fromhex(
            "03 38000000 07000000 1d000000 00 02000000 01105e5f 3fe94c67 01000000 42000000"
        )
        + b"abc"
    )
    assert len(blob) == 34 + 3
    assert index.unpack_entry(blob) == entry
    assert blob[index.FLAGS_AT] == 0
    assert entry._replace(flags=1).pack()[index.FLAGS_AT] == 1


def test_a_descriptor_has_upstreams_bytes() -> None:
    one = Descriptor("test", b"password", 10240, public=True)
    blob = one.pack()
    assert blob == bytes.fromhex("01000000 04 08 0028000000000000 05") + b"testpassword"
    assert namespace.unpack(blob, "x") == one
    assert namespace.unpack(blob + b"left over", "x") == one  # upstream does not cut the file


@pytest.mark.parametrize("size", [0, 5, 14, 20])
def test_a_cut_descriptor_is_refused(size: int) -> None:
    blob = Descriptor("test", b"password").pack()
    with pytest.raises(DamagedError):
        namespace.unpack(blob[:size], "zdb-namespace")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"", "ends within"),
        (data.pack_header(1, 0)[:-1], "ends within"),
        (b"DAT1" + data.pack_header(1, 0)[4:], "not a data file"),
        (b"DAT0\2" + data.pack_header(1, 0)[5:], "version 2"),
        (data.pack_header(1, 5), "data file 5"),
    ],
)
def test_a_wrong_data_header_is_named(head: bytes, what: str) -> None:
    with pytest.raises(DamagedError, match=what):
        data.read_header(head, 0, "d0")


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (index.pack_header(1, 0, "user")[:-1], "ends within"),
        (b"IDX1" + index.pack_header(1, 0, "user")[4:], "not an index file"),
        (b"IDX0\3" + index.pack_header(1, 0, "user")[5:], "version 3"),
        (index.pack_header(1, 5, "user"), "index file 5"),
        (index.pack_header(1, 0, "user")[:-1] + b"\7", "mode 7"),
    ],
)
def test_a_wrong_index_header_is_named(head: bytes, what: str) -> None:
    with pytest.raises(DamagedError, match=what):
        index.read_header(head, 0, "i0")
