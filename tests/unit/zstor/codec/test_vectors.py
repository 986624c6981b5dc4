"""Every codec vector of upstream's own library."""

from tests.helpers.zstor.vectors import load_vectors, made_bytes
from zstor.codec.checksum import short_checksum
from zstor.codec.compression import frame, unframe
from zstor.codec.erasure import disperse, join


def test_shards_are_upstreams() -> None:
    cases = load_vectors("codec")["erasure"]
    assert cases
    for case in cases:
        k, m = case["data_shards"], case["parity_shards"]
        data = bytes.fromhex(case["input_hex"])
        assert made_bytes(k * 1000 + m, len(data)) == data
        shards = disperse(data, k, m)
        checksums = [short_checksum(shard).hex() for shard in shards[:4]]  # as many were recorded
        assert checksums == case["checksums"], (k, m)
        assert {len(shard) for shard in shards} == {case["shard_len"]}
        kept = shards[k:] if case["only_parity"] else shards
        assert [shard.hex() for shard in kept] == case["shards_hex"], (k, m)
        assert join(dict(list(enumerate(shards))[m:]), k, m) == data


def test_compressed_files_are_upstreams() -> None:
    cases = load_vectors("codec")["snappy"]
    assert cases
    for case in cases:
        data = snappy_input(case["note"], case["input_hex"], case["input_len"])
        assert short_checksum(data).hex() == case["input_checksum"], case["note"]
        parts = [data[i : i + 1000] for i in range(0, len(data), 1000)]
        packed = b"".join(frame(parts))
        assert len(packed) == case["output_len"]
        assert short_checksum(packed).hex() == case["output_checksum"], case["note"]
        if case["output_hex"] is not None:
            assert packed.hex() == case["output_hex"]
        assert b"".join(unframe([packed[:7], packed[7:]])) == data


def snappy_input(note: str, written: str | None, length: int) -> bytes:
    """Return a case's input, which is written out only when it is short."""
    if written is not None:
        return bytes.fromhex(written)
    return bytes(length) if "zeros" in note else made_bytes(8, length)
