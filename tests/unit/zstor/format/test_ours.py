"""Our own formats, byte by byte."""

import pytest

from zstor.codec.keys import Wrap
from zstor.errors import DamagedError
from zstor.format.envelope import NONE, Version, next_version, pack, unpack
from zstor.format.file import (
    Chunk,
    Kind,
    Piece,
    StoredFile,
    decode_file,
    decode_table,
    encode_chunk,
    encode_file,
)
from zstor.format.piece import PieceName, read_name, unwrap_piece, wrap_piece
from zstor.model import Place, Shape

CHUNK = Chunk(100, (Piece(0, b"\x01" * 16, b"\x05" + bytes(7)), Piece(1, b"\x02" * 16, b"\x06")))
FILE = StoredFile(
    kind=Kind.FILE,
    object_id=b"\xaa" * 16,
    name="dir/\udcfffile",
    stored_at=1_700_000_000_000_000_000,
    size=70,
    checksum=b"\xcc" * 32,
    chunk_size=4096,
    shape=Shape(1, 1),
    wrap=Wrap.AES,
    wrapped_key=b"\xee" * 3,
    attributes=(("type", b"text"),),
    places=(Place("10.0.0.1", 9900, "ns"), Place("::1", 1)),
    depth=0,
    chunks=(CHUNK,),
)
GOLDEN = (
    "0101" + "aa" * 16 + "0009" + "6469722fff66696c65"
    "17979cfe362a0000" + "0000000000000046" + "cc" * 32 + "00001000" + "0001" + "0001"
    "01" + "0003" + "eeeeee"
    "0001" + "0004" + "74797065" + "00000004" + "74657874"
    "0002" + "0d" + "31302e302e302e313a39393030" + "02" + "6e73" + "07" + "5b3a3a315d3a31" + "00"
    "00" + "00000001"
    "00000064" + "0000" + "01" * 16 + "08" + "0500000000000000" + "0001" + "02" * 16 + "01" + "06"
)  # fmt: skip


def test_a_files_metadata_has_these_bytes() -> None:
    assert encode_file(FILE).hex() == GOLDEN
    assert decode_file(bytes.fromhex(GOLDEN)) == FILE


def test_no_change_of_a_byte_crashes_the_reader() -> None:
    data = bytes.fromhex(GOLDEN)
    for place in range(len(data)):
        for value in (0, 1, 0x7F, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                decode_file(changed)
            except DamagedError:
                continue
    for end in range(len(data)):
        with pytest.raises(DamagedError):
            decode_file(data[:end])


@pytest.mark.parametrize(
    "wrong",
    [
        FILE._replace(size=5000),
        FILE._replace(chunk_size=0),
        FILE._replace(depth=5),
        FILE._replace(places=FILE.places[:1]),
        FILE._replace(shape=Shape(0, 2)),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(wrong: StoredFile) -> None:
    with pytest.raises(DamagedError):
        decode_file(encode_file(wrong))


def test_a_table_is_chunks_one_after_another() -> None:
    data = encode_chunk(CHUNK) * 3
    assert list(decode_table(data, Shape(1, 1), 2)) == [CHUNK] * 3
    for wrong, places in ((data[:-1], 2), (data, 1)):
        with pytest.raises(DamagedError):
            list(decode_table(wrong, Shape(1, 1), places))


def test_a_piece_says_what_it_is() -> None:
    name = PieceName(b"\xaa" * 16, 0, 7, 3)
    piece = wrap_piece(name, b"shard")
    assert piece.hex() == "5a535031" + "aa" * 16 + "00" + "00000007" + "0003" + "7368617264"
    assert (read_name(piece), unwrap_piece(piece)) == (name, b"shard")
    assert read_name(b"ZSP1 short") is None
    assert read_name(b"x" * 100) is None


def test_an_envelope_is_bound_to_its_key_name_and_version() -> None:
    key, version = bytes(32), next_version(Version(6, 1))
    value = pack(b"text", version, key, b"name")
    assert value.hex().startswith("5a534d310000000000000007")
    assert unpack(value, key, b"name") == (version, b"text")
    older = value[:11] + b"\x08" + value[12:]
    for wrong, name in ((value, b"other"), (older, b"name"), (value[:20], b"name"), (b"", b"name")):
        with pytest.raises(DamagedError):
            unpack(wrong, key, name)
    with pytest.raises(DamagedError):
        unpack(value, b"\1" * 32, b"name")


def test_writers_of_the_same_version_differ() -> None:
    first, second = next_version(NONE), next_version(NONE)
    assert first.number == second.number == 1
    assert first != second
    assert next_version(max(first, second)) > max(first, second)
