"""Upstream's metadata, beside every recorded value."""

import os
from typing import Any

import pytest

from tests.helpers.zstor.vectors import load_vectors
from zstor.errors import DamagedError, LostError
from zstor.format.scattered import gather, scatter
from zstor.format.upstream import (
    Failure,
    UpstreamFile,
    backend_hash,
    decode_failure,
    decode_file,
    encode_failure,
    encode_file,
    reservation_id,
)
from zstor.model import Backend, Place, Shape, parse_address


def recorded(note: str) -> bytes:
    values = load_vectors("codec")["bincode"]
    return next(bytes.fromhex(case["hex"]) for case in values if case["note"].startswith(note))


def test_all_recorded_metadata_is_read_and_written_the_same() -> None:
    for case in load_vectors("codec")["bincode"]:
        data = bytes.fromhex(case["hex"])
        if "failure" in case["note"]:
            assert encode_failure(decode_failure(data)) == data
        else:
            assert encode_file(decode_file(data)) == data


def test_the_recorded_shards_are_understood() -> None:
    file = decode_file(recorded("three shards"))
    assert (file.shape, file.checksum, file.key) == (Shape(2, 1), b"\x11" * 16, b"\xab" * 32)
    plain, six, none = file.shards
    assert plain.backend == Backend(Place("127.0.0.1", 9900), None)
    assert six.backend == Backend(Place("2a02:1802:5e::dead:beef", 9901, "7-42-ns"), "pw")
    assert six.keys == (b"\xff\xff\xff\xff", bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    assert none.keys == ()


def test_the_recorded_failures_are_understood() -> None:
    assert decode_failure(recorded("failure record /data/file, key dir")) == Failure(
        "/data/file", "/keys", True
    )
    assert decode_failure(recorded("failure record /data/file, no")).key_dir is None


def test_backends_have_upstreams_hashes_and_reservations() -> None:
    for case in load_vectors("codec")["connection_info"]:
        if "hash" in case:
            place = Place(*parse_address(case["address"]), case["namespace"])
            assert backend_hash(Backend(place, case["password"])) == case["hash"]
        else:
            assert reservation_id(case["namespace"]) == case["reservation_id"]


def test_recorded_metadata_opens_with_the_data_key_and_not_with_the_configured_one() -> None:
    found = load_vectors("store")
    for case in found["cases"]:
        values = [bytes.fromhex(value) for value in case["metadata_values_hex"].values()]
        plain = gather(values, bytes.fromhex(found["data_key"]))
        assert plain.hex() == case["metadata_plain_hex"]
        check_plain(decode_file(plain), case["metadata_plain"])
        with pytest.raises(DamagedError):
            gather(values, bytes.fromhex(found["meta_config_key"]))


def check_plain(file: UpstreamFile, plain: Any) -> None:
    assert file.shape == Shape(plain["data_shards"], plain["disposable_shards"])
    assert (file.checksum.hex(), file.key.hex()) == (plain["checksum"], plain["key"])
    assert len(file.shards) == len(plain["shards"])
    for shard, seen in zip(file.shards, plain["shards"], strict=True):
        assert (shard.number, shard.checksum.hex()) == (seen["index"], seen["checksum"])
        assert [int.from_bytes(key, "little") for key in shard.keys] == [
            key["key"] for key in seen["keys"]
        ]
        assert shard.backend.place.address == seen["address"]
        assert (shard.backend.place.namespace, shard.backend.password) == (
            seen["namespace"],
            seen["password"],
        )


def test_two_of_four_parts_are_enough_and_parts_of_two_writes_are_told_apart() -> None:
    key = os.urandom(32)
    old, new = scatter(b"old", key), scatter(b"new", key)
    assert gather([new[3], new[1]], key) == b"new"
    assert gather([old[0], new[1], new[2], b"", b"x" * 30], key) == b"new"
    with pytest.raises(LostError) as caught:
        gather([new[2][:-1] + b"\0", new[1]], key)
    assert caught.value.missing == (0, 2, 3)
    with pytest.raises(DamagedError):
        gather([old[0], new[1]], key)


@pytest.mark.parametrize("change", ["cut", "longer", "count", "variant"])
def test_damaged_metadata_is_refused(change: str) -> None:
    data = recorded("three shards")
    wrong = {
        "cut": data[:-1],
        "longer": data + b"\0",
        "count": data[:112] + b"\xff" * 8 + data[120:],
        "variant": data[:32] + b"\1" + data[33:],
    }[change]
    with pytest.raises(DamagedError):
        decode_file(wrong)


def test_no_change_of_a_byte_crashes_the_reader() -> None:
    data = recorded("three shards")
    for place in range(len(data)):
        for value in (0, 1, 0x7F, 0xFF):
            changed = data[:place] + bytes([value]) + data[place + 1 :]
            try:
                decode_file(changed)
            except DamagedError:
                continue


def test_a_key_that_no_reader_would_take_is_not_written() -> None:
    file = decode_file(recorded("three shards"))
    odd = file.shards[0]._replace(keys=(b"\x01\x02\x03",))
    with pytest.raises(DamagedError, match="a key of 3 bytes"):
        encode_file(file._replace(shards=(odd, *file.shards[1:])))
