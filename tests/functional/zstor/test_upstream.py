"""Files in upstream's format: its recorded stores are read, and ours are like them."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.zstor.farm import KEY, Farm, write_file
from tests.helpers.zstor.vectors import load_vectors
from zstor.codec.checksum import short_checksum
from zstor.codec.cipher import OVERHEAD, unseal
from zstor.codec.erasure import join
from zstor.config import parse_config
from zstor.errors import ConfigError, DamagedError, LostError, PlacementError, QuorumError
from zstor.format.scattered import gather
from zstor.format.upstream import UpstreamFile, decode_file, encode_file
from zstor.pipeline import storing, upstream
from zstor.pipeline.files import find_path, retrieve_stored, store_path
from zstor.pipeline.names import name_of
from zstor.pipeline.placing import Places
from zstor.pipeline.source import Source
from zstor.pipeline.vault import Vault

CONTENT = {
    "0..255 four times": bytes(range(256)) * 4,
    "'Zero-Store ' 500 times": b"Zero-Store " * 500,
}
RECORDED_PORT = ":29911"


def content_of(case: Any) -> bytes:
    if case["content_hex"] is not None:
        return bytes.fromhex(case["content_hex"])
    content = CONTENT[case["content_rule"]]
    assert len(content) == case["content_len"]
    return content


def config_of(four: Farm, case: Any) -> Any:
    text = case["config"].replace(RECORDED_PORT, f":{four.port}").replace('"mpw"', '"dpw"')
    return parse_config(text)


def rebuild_store(four: Farm, vault: Vault, case: Any) -> None:
    """Store what was recorded, at this server's address and under the keys that it gives."""
    key = bytes.fromhex(KEY)
    values = [bytes.fromhex(value) for value in case["metadata_values_hex"].values()]
    file = decode_file(gather(values, key))
    shards = []
    for shard in file.shards:
        recorded = {
            bytes.fromhex(entry["key_hex"]): bytes.fromhex(entry["value_hex"])
            for entry in case["shard_values"][shard.backend.place.namespace]
        }
        backend = four.backend(str(shard.backend.place.namespace))
        keys = tuple(four.servers.add(backend, recorded[key]) for key in shard.keys)
        shards.append(shard._replace(keys=keys, backend=backend))
    metadata = encode_file(file._replace(shards=tuple(shards)))
    vault.upstream().write(case["meta_key"].encode(), metadata)


def test_recorded_stores_are_read(four: Farm, tmp_path: Path) -> None:
    for case in load_vectors("store")["cases"]:
        four.remake(6, 5)
        with four.vault(config_of(four, case)) as vault:
            rebuild_store(four, vault, case)
            metastore = vault.upstream()
            assert metastore.file_key(case["hashed_path"]).decode() == case["meta_key"]
            stored = find_path(vault, Path(case["path"]))
            assert (stored.format, stored.checksum) == ("upstream", case["check_output"])
            retrieve_stored(vault, stored, tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == content_of(case), case["id"]


def test_recorded_files_are_stored_the_same(four: Farm, tmp_path: Path) -> None:
    for case in load_vectors("store")["cases"]:
        four.remake(6, 5)
        path = write_file(tmp_path, content_of(case))
        with four.vault(config_of(four, case)) as vault, Source(path) as source:
            file = upstream.store(vault, source, case["hashed_path"])
            plain = case["metadata_plain"]
            assert file.checksum.hex() == plain["checksum"] == case["content_checksum"]
            assert file.shape == (plain["data_shards"], plain["disposable_shards"])
            check_shards(four, file, case)
            values = [four.entries(f"m{i}")[case["meta_key"].encode()] for i in range(4)]
            assert decode_file(gather(values, bytes.fromhex(KEY))) == file
            lengths = [len(bytes.fromhex(v)) for v in case["metadata_values_hex"].values()]
            assert list(map(len, values)) == lengths


def check_shards(four: Farm, file: UpstreamFile, case: Any) -> None:
    shards = {}
    for shard in file.shards:
        entries = four.entries(str(shard.backend.place.namespace))
        shards[shard.number] = b"".join(entries[key] for key in shard.keys)
        assert short_checksum(shards[shard.number]) == shard.checksum
    sealed = join(shards, *file.shape)
    assert len(sealed) == case["encrypted_len"]
    packed = unseal(file.key, sealed)
    assert len(packed) == case["compressed_len"] == len(sealed) - OVERHEAD
    assert short_checksum(packed).hex() == case["compressed_checksum"]


@pytest.fixture(name="vault")
def upstream_vault(four: Farm) -> Any:
    with four.vault(four.config(2, 4, [4], meta=4, compression="snappy")) as vault:
        yield vault


def store(vault: Vault, path: Path) -> UpstreamFile:
    with Source(path) as source:
        return upstream.store(vault, source, "name")


def test_the_same_file_is_not_stored_again(four: Farm, vault: Vault, tmp_path: Path) -> None:
    path = write_file(tmp_path, b"content")
    assert store(vault, path) == store(vault, path)
    assert four.pieces(4) == [1, 1, 1, 1]


def test_flaw_shards_of_a_replaced_file_stay_behind(
    four: Farm, vault: Vault, tmp_path: Path
) -> None:
    """Upstream leaves them for ever; here they are removed."""
    store(vault, write_file(tmp_path, b"content"))
    store(vault, write_file(tmp_path, b"other content"))
    assert four.pieces(4) == [1, 1, 1, 1]


def test_long_shards_are_in_pieces_of_two_mebibytes(four: Farm, tmp_path: Path) -> None:
    """As recorded: 5 MiB of random bytes, one data and one parity shard."""
    content = random.Random(1).randbytes(5 << 20)
    with four.vault(four.config(1, 2, [2], meta=4, compression="snappy")) as vault:
        file = store(vault, write_file(tmp_path, content))
        for shard in file.shards:
            entries = four.entries(str(shard.backend.place.namespace))
            assert [len(entries[key]) for key in shard.keys] == [2097152, 2097152, 1049255]
        four.wipe(str(file.shards[0].backend.place.namespace))
        upstream.retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("size", [0, 1, 100_000, 700_000])
def test_lost_and_damaged_shards_are_made_up_for(
    four: Farm, tmp_path: Path, k: int, size: int
) -> None:
    content = os.urandom(size)
    with four.vault(four.config(k, 5, [5], meta=4, compression="snappy")) as vault:
        file = store(vault, write_file(tmp_path, content))
        spaces = [str(shard.backend.place.namespace) for shard in file.shards]
        four.wipe(spaces[0])
        four.flip(spaces[1])
        upstream.retrieve(vault, "name", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        four.wipe(*spaces[2 : 6 - k])
        with pytest.raises(LostError) as caught:
            upstream.retrieve(vault, "name", tmp_path / "other")
        assert caught.value.missing == tuple(range(6 - k))
        assert any("is damaged" in note for note in caught.value.__notes__)
        assert {path.name for path in tmp_path.iterdir()} == {"back", "file"}


def test_metadata_is_read_from_two_stores_and_written_to_four(
    four: Farm, vault: Vault, tmp_path: Path
) -> None:
    """Two of four pieces deleted: read; three: refused. One store down: read, not written."""
    store(vault, write_file(tmp_path, b"content"))
    with four.down("m1"):
        upstream.retrieve(vault, "name", tmp_path / "back")
        with pytest.raises(QuorumError, match="cannot write the metadata: 3 of 4"):
            store(vault, write_file(tmp_path, b"new"))
    assert four.pieces(4) == [1, 1, 1, 1]
    four.wipe("m0", "m2")
    upstream.retrieve(vault, "name", tmp_path / "back")
    four.wipe("m3")
    with pytest.raises(LostError):
        upstream.retrieve(vault, "name", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_flaw_the_checksum_of_a_retrieved_file_is_not_verified(
    vault: Vault, tmp_path: Path
) -> None:
    """Upstream gives out whatever decrypts; here it is an error, and no file is left."""
    file = store(vault, write_file(tmp_path, b"content"))
    metastore = vault.upstream()
    wrong = encode_file(file._replace(checksum=bytes(16)))
    metastore.write(metastore.file_key("name"), wrong)
    with pytest.raises(DamagedError, match="its checksum is not"):
        upstream.retrieve(vault, "name", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_flaw_another_key_ends_the_process(vault: Vault, tmp_path: Path) -> None:
    """Upstream aborts; here it is an error."""
    file = store(vault, write_file(tmp_path, b"content"))
    metastore = vault.upstream()
    metastore.write(metastore.file_key("name"), encode_file(file._replace(key=bytes(32))))
    with pytest.raises(DamagedError, match="another key"):
        upstream.retrieve(vault, "name", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_store_that_can_not_be_placed_leaves_nothing(four: Farm, tmp_path: Path) -> None:
    four.make("d0", "seq", maxsize="1000")
    with four.vault(four.config(2, 4, [4], meta=4)) as vault:
        with pytest.raises(PlacementError, match="only 3 backends"):
            store(vault, write_file(tmp_path, os.urandom(10_000)))
    assert four.pieces(4) == [0, 0, 0, 0]


def test_a_backend_that_fails_meanwhile_is_replaced(
    four: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A namespace is full after its first piece: the shard goes elsewhere, as a whole."""
    content = random.Random(2).randbytes(9 << 20)
    four.make("d0", "seq", maxsize=str(3 << 20))
    with four.vault(four.config(2, 4, [3, 2], meta=4)) as vault:
        monkeypatch.setattr("zstor.pipeline.upstream.Places", lambda vault, _: FirstPlaces(vault))
        file = store(vault, write_file(tmp_path, content))
        upstream.retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert four.backend("d0") not in {shard.backend for shard in file.shards}
    assert four.pieces(1) == [0]


def test_an_interrupted_store_leaves_nothing(
    four: Farm, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C comes while threads write."""
    run = vault.pool.run

    def interrupted(calls: Any) -> Any:
        ends = run(calls)
        if any(getattr(call, "func", None) is upstream.send_shard for call in calls):
            raise KeyboardInterrupt
        return ends

    monkeypatch.setattr(vault.pool, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store(vault, write_file(tmp_path, b"content"))
    assert four.pieces(4) == [0, 0, 0, 0]


class FirstPlaces(Places):
    """Places that begin with the first backends, whatever their room."""

    def __init__(self, vault: Vault) -> None:
        super().__init__(vault, 0)
        self.chosen = [vault.config.data_groups[0][0], *self._others(vault)]

    def _others(self, vault: Vault) -> list[Any]:
        first = vault.config.data_groups[0][0]
        if first not in self.chosen:
            return self.chosen[1:]
        return [backend for backend in self.chosen if backend != first]


def test_a_name_has_one_format(four: Farm, vault: Vault, tmp_path: Path) -> None:
    path = write_file(tmp_path, b"content")
    name = name_of(path)
    store_path(vault, path, format="upstream")
    assert find_path(vault, path).format == "upstream"
    store_path(vault, path)
    assert find_path(vault, path).format == "zos"
    assert upstream.find(vault, name) is None
    store_path(vault, path, format="upstream")
    assert storing.find_to_replace(vault, name).file is None
    assert four.pieces(4) == [1, 1, 1, 1]


def test_upstreams_format_needs_its_key_and_four_stores(four: Farm, tmp_path: Path) -> None:
    path = write_file(tmp_path, b"content")
    with four.vault(four.config(2, 4, [4], meta=3)) as vault:
        with pytest.raises(ConfigError, match="needs 4 metadata backends"):
            store_path(vault, path, format="upstream")
    (tmp_path / "key").write_text("")
    own = f'algorithm = "AES", recipient = "{tmp_path}/key"'
    with four.vault(four.config(2, 4, [4], meta=4, encryption=own)) as vault:
        with pytest.raises(ConfigError, match=r"encryption\.key is missing"):
            store_path(vault, path, format="upstream")
