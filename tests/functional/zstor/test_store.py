"""Files in our format: stored, read back, replaced, deleted, and what is left of them."""

import itertools
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.zstor.farm import Farm, write_file
from zstor.codec.keys import make_identity
from zstor.errors import (
    BackendError,
    ConfigError,
    DamagedError,
    LostError,
    NotStoredError,
    PlacementError,
    QuorumError,
    ZstorError,
)
from zstor.format.file import Kind
from zstor.format.piece import read_name
from zstor.pipeline import storing
from zstor.pipeline.reading import all_chunks, read_bytes
from zstor.pipeline.retrieving import retrieve
from zstor.pipeline.source import Source
from zstor.pipeline.storing import delete, store_file, store_parts, store_source
from zstor.pipeline.vault import Vault


def roundtrip(vault: Vault, folder: Path, content: bytes) -> None:
    store_file(vault, write_file(folder, content), "name")
    retrieve(vault, "name", folder / "back")
    assert (folder / "back").read_bytes() == content


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("compression", ["none", "zstd", "snappy"])
def test_a_file_comes_back(four: Farm, tmp_path: Path, size: int, compression: str) -> None:
    config = four.config(2, 4, [4], chunk_size="1000", compression=compression)
    with four.vault(config) as vault:
        roundtrip(vault, tmp_path, os.urandom(size // 2) + bytes(size - size // 2))
        assert vault.find("name").file.shape == (2, 2)  # type: ignore[union-attr]
        assert list(vault.metastore.keys("journal")) == []


@pytest.mark.parametrize("step", [1, 7, 1000, 2500])
def test_bytes_may_come_in_parts_of_any_size(four: Farm, tmp_path: Path, step: int) -> None:
    content = os.urandom(2048)
    parts = (content[i : i + step] for i in range(0, len(content), step))
    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        assert len(store_parts(vault, parts, "name", len(content)).chunks) == 3
        retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_any_two_of_four_backends_may_be_lost_and_a_third_is_told(
    four: Farm, tmp_path: Path
) -> None:
    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        for lost in itertools.combinations(("d0", "d1", "d2", "d3"), 2):
            content = os.urandom(3000)
            store_file(vault, write_file(tmp_path, content), "name")
            harm = four.wipe if "d0" in lost else four.flip
            harm(*lost)
            retrieve(vault, "name", tmp_path / "back")
            assert (tmp_path / "back").read_bytes() == content
        four.wipe("d0", "d2", "d3")
        with pytest.raises(LostError, match="3 of 4 shards are missing, 2 may be") as caught:
            retrieve(vault, "name", tmp_path / "other")
        assert len(caught.value.missing) == 3
        assert sum("d2" in note for note in caught.value.__notes__) == 1
        assert not (tmp_path / "other").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"back", "file"}


def test_lists_of_many_chunks_are_chunks_themselves(four: Farm, tmp_path: Path) -> None:
    content = os.urandom(64 * 900 + 5)
    with four.vault(four.config(2, 4, [4], chunk_size="64")) as vault:
        roundtrip(vault, tmp_path, content)
        file = vault.find("name").file
        assert file is not None
        assert file.depth >= 2
        assert len(file.chunks) <= 8
        chunks = list(all_chunks(vault, file))
        assert [number for depth, number, _ in chunks if depth == 0] == list(range(901))
        draw = random.Random(3)
        for _ in range(10):
            start, end = sorted(draw.sample(range(len(content)), 2))
            assert b"".join(read_bytes(vault, file, start, end)) == content[start:end]
        assert delete(vault, "name")
        assert four.pieces(4) == [0, 0, 0, 0]


def test_a_replaced_file_leaves_no_pieces(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        roundtrip(vault, tmp_path, os.urandom(3500))
        roundtrip(vault, tmp_path, os.urandom(1500))
        assert four.pieces(4) == [2, 2, 2, 2]
        assert list(vault.metastore.keys("journal")) == []


def test_the_same_content_is_not_stored_again(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        path = write_file(tmp_path, b"content")
        first = store_file(vault, path, "name")
        assert store_file(vault, path, "name") == first
        assert four.pieces(4) == [1, 1, 1, 1]


def test_the_only_copy_is_stored_again_also_if_the_same_is_stored(
    four: Farm, tmp_path: Path
) -> None:
    """What is stored may have lost its shards, or be readable with another key only."""
    with four.vault(four.config(2, 4, [4])) as vault:
        path = write_file(tmp_path, b"content")
        first = store_file(vault, path, "name")
        with Source(path) as source:
            assert store_source(vault, source, "name", is_last=True).object_id != first.object_id
        assert four.pieces(4) == [1, 1, 1, 1]


def test_a_deleted_file_is_gone_and_may_be_stored_again(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        assert not delete(vault, "name")
        roundtrip(vault, tmp_path, b"one")
        assert delete(vault, "name")
        with pytest.raises(NotStoredError, match="cannot read name"):
            retrieve(vault, "name", tmp_path / "other")
        assert not delete(vault, "name")
        roundtrip(vault, tmp_path, b"two")


def test_no_secret_and_no_content_is_in_the_clear(four: Farm, tmp_path: Path) -> None:
    content = b"a telling sentence " * 100
    with four.vault(four.config(1, 2, [2], compression="none")) as vault:
        store_file(vault, write_file(tmp_path, content), "telling name")
        seen = b"".join(b"".join(four.entries(f"d{i}").values()) for i in range(2))
        seen += b"".join(key + value for key, value in four.entries("m0").items())
        for secret in (b"telling", bytes.fromhex("ab" * 32), b"ab" * 16, b"dpw", b"127.0.0.1"):
            assert secret not in seen


def test_pieces_say_whose_they_are(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        file = store_file(vault, write_file(tmp_path, b"content"), "name")
        names = [read_name(next(iter(four.entries(f"d{i}").values()))) for i in range(4)]
        assert {name.object_id for name in names if name} == {file.object_id}
        assert sorted(name.shard for name in names if name) == [0, 1, 2, 3]


def test_only_the_recipient_can_read(four: Farm, tmp_path: Path) -> None:
    identity = make_identity()
    (tmp_path / "public").write_text(identity.recipient().text())
    (tmp_path / "secret").write_text(identity.text())
    (tmp_path / "other").write_text(make_identity().text())
    writer = f'algorithm = "AES", recipient = "{tmp_path}/public"'
    with four.vault(four.config(2, 4, [4], encryption=writer)) as vault:
        store_file(vault, write_file(tmp_path, b"content"), "name")
        with pytest.raises(ConfigError, match="it is for a recipient"):
            retrieve(vault, "name", tmp_path / "back")
    for key, is_right in (("secret", True), ("other", False)):
        reader = f'algorithm = "AES", identity = "{tmp_path}/{key}"'
        with four.vault(four.config(2, 4, [4], encryption=reader)) as vault:
            if is_right:
                retrieve(vault, "name", tmp_path / "back")
                assert (tmp_path / "back").read_bytes() == b"content"
                with pytest.raises(ConfigError, match="neither"):
                    store_file(vault, tmp_path / "file", "name 2")
            else:
                with pytest.raises(DamagedError, match="for another key"):
                    retrieve(vault, "name", tmp_path / "back")


def test_another_key_is_told(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        store_file(vault, write_file(tmp_path, b"content"), "name")
    other = f'algorithm = "AES", key = "{"12" * 32}"'
    with four.vault(four.config(2, 4, [4], encryption=other)) as vault:
        with pytest.raises(DamagedError, match=r"another encryption\.key"):
            retrieve(vault, "name", tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "missing"])
def test_what_is_no_file_is_refused(four: Farm, tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    with four.vault(four.config(2, 4, [4])) as vault:
        with pytest.raises(ZstorError, match=f"cannot store {path}"):
            store_file(vault, path, "name")
        assert four.pieces(4) == [0, 0, 0, 0]


@pytest.mark.parametrize("change", ["longer", "shorter", "other", "touched"])
def test_a_file_that_changes_while_it_is_stored_is_refused(
    four: Farm, tmp_path: Path, change: str
) -> None:
    path = write_file(tmp_path, b"x" * 5000)

    def changing(source: Source) -> Iterator[bytes]:
        for number, part in enumerate(source.parts(1000)):
            if number == 2:
                alter(path, change)
            yield part

    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        with Source(path) as source, pytest.raises(ZstorError, match="changed while it was read"):
            store_parts(vault, changing(source), "name", source.size)
        assert vault.find("name").file is None
        assert four.pieces(4) == [0, 0, 0, 0]
        assert list(vault.metastore.keys("journal")) == []


def alter(path: Path, change: str) -> None:
    if change == "longer":
        path.write_bytes(b"x" * 6000)
    elif change == "shorter":
        os.truncate(path, 100)
    elif change == "other":
        with path.open("r+b") as stream:
            stream.write(b"y")
    else:
        os.utime(path, ns=(1, 1))


def test_a_stored_file_is_deleted_only_while_it_is_the_same(tmp_path: Path) -> None:
    path = write_file(tmp_path, b"x")
    with Source(path) as source:
        path.write_bytes(b"y")
        assert not source.delete()
    assert path.exists()
    with Source(path) as source:
        assert source.delete()
    assert not path.exists()


def test_a_backend_that_fails_meanwhile_is_replaced(four: Farm, tmp_path: Path) -> None:
    """Its namespace takes one piece and is full then."""
    content = os.urandom(8000)
    four.make("d0", "seq", maxsize="6000")
    with four.vault(four.config(2, 4, [3, 3], chunk_size="1000")) as vault:
        for _ in range(6):  # the placement is drawn; d0 is in most of the draws
            roundtrip(vault, tmp_path, content)
            content = os.urandom(8000)
    assert sum(map(len, four.entries("d0").values())) <= 6000


def test_a_full_farm_is_told_and_nothing_is_left(four: Farm, tmp_path: Path) -> None:
    for i in range(4):
        four.make(f"d{i}", "seq", maxsize="6000")
    with four.vault(four.config(2, 4, [4], chunk_size="1000", compression="none")) as vault:
        with pytest.raises(PlacementError, match="cannot place 4 shards") as caught:
            store_file(vault, write_file(tmp_path, os.urandom(30_000)), "name")
        assert any("6000 bytes free" in note for note in caught.value.__notes__)
        with pytest.raises(PlacementError, match="only 3 backends are usable") as caught:
            store_parts(vault, iter([os.urandom(1000)] * 20), "name", 0)
        assert any("No space left" in note for note in caught.value.__notes__)
        assert four.pieces(4) == [0, 0, 0, 0]
        assert list(vault.metastore.keys("journal")) == []
        assert vault.find("name").file is None


def test_namespaces_of_another_mode_are_not_used(four: Farm, tmp_path: Path) -> None:
    four.make("d0", "user")
    with four.vault(four.config(2, 4, [4])) as vault:
        with pytest.raises(PlacementError) as caught:
            store_file(vault, write_file(tmp_path, b"content"), "name")
    assert any("mode userkey instead of sequential" in note for note in caught.value.__notes__)


def test_an_interrupted_store_leaves_nothing(four: Farm) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x" * 1000
        raise KeyboardInterrupt

    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        with pytest.raises(KeyboardInterrupt):
            store_parts(vault, parts(), "name", 5000)
        assert four.pieces(4) == [0, 0, 0, 0]
        assert list(vault.metastore.keys("journal")) == []


def test_a_store_whose_metadata_fails_keeps_its_pieces_and_a_note(
    four: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some stores may have the metadata: its pieces must stay until all have been asked."""
    with four.vault(four.config(2, 4, [4])) as vault:
        roundtrip(vault, tmp_path, b"old")

        def fail(*_: object) -> None:
            raise QuorumError("too few")

        monkeypatch.setattr(vault.metastore, "write", fail)
        with pytest.raises(QuorumError):
            store_file(vault, write_file(tmp_path, b"new"), "name")
        retrieve(vault, "name", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"old"
        assert four.pieces(4) == [2, 2, 2, 2]
        kinds = [vault.read_file(key).file for key in vault.metastore.keys("journal")]
        assert sorted(file.kind for file in kinds if file) == [Kind.FILE, Kind.UNFINISHED]


def test_without_a_majority_of_metadata_stores_nothing_is_stored(
    four: Farm, tmp_path: Path
) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        roundtrip(vault, tmp_path, b"old")
        with four.down("m0", "m1"):
            retrieve(vault, "name", tmp_path / "back")
            with pytest.raises(QuorumError):
                store_file(vault, write_file(tmp_path, b"new"), "name")
        assert four.pieces(4) == [1, 1, 1, 1]


def test_a_file_replaced_while_it_is_read_is_read_again(
    four: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with four.vault(four.config(2, 4, [4], chunk_size="1000")) as vault:
        roundtrip(vault, tmp_path, b"old" * 1000)
        find = Vault.find
        replaced = threading.Event()

        def find_and_replace(self: Vault, name: str) -> object:
            found = find(self, name)
            if not replaced.is_set():
                replaced.set()
                store_file(self, write_file(tmp_path, b"new" * 1000), name)
            return found

        monkeypatch.setattr(Vault, "find", find_and_replace)
        retrieve(vault, "name", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"new" * 1000


def test_pieces_that_can_not_be_removed_stay_in_the_journal(
    four: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with four.vault(four.config(2, 4, [4])) as vault:
        roundtrip(vault, tmp_path, b"old")

        def fail(*_: object) -> None:
            raise BackendError("not now")

        monkeypatch.setattr(vault.servers, "delete", fail)
        assert storing.store_file(vault, write_file(tmp_path, b"new"), "name")
        monkeypatch.undo()
        assert len(list(vault.metastore.keys("journal"))) >= 1
