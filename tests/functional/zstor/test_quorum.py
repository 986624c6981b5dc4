"""Metadata over several stores, some of them down, stale or damaged."""

import itertools
from contextlib import AbstractContextManager

import pytest

from tests.helpers.zstor.farm import Farm
from zstor.errors import BackendError, ConflictError, DamagedError, LostError, QuorumError
from zstor.format.envelope import NONE, Version, pack
from zstor.metastore.quorum import Metastore
from zstor.metastore.upstream import UpstreamMetastore
from zstor.model import Backend

KEY = b"k" * 32


class Stores:
    """Metadata stores that may be made unreachable."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.servers = farm.servers
        self.backends = [farm.backend(f"m{i}") for i in range(5)]

    def values(self, number: int) -> dict[bytes, bytes]:
        return self.farm.entries(f"m{number}")

    def put(self, number: int, key: bytes, value: bytes) -> None:
        self.servers.put(self.backends[number], key, value)

    def down(self, *numbers: int) -> AbstractContextManager[None]:
        """Let stores refuse everything."""
        return self.farm.down(*(f"m{number}" for number in numbers))

    def metastore(self, count: int = 3) -> Metastore:
        return Metastore(self.servers, self.backends[:count], "p", KEY)


@pytest.fixture(name="stores")
def five_stores(four: Farm) -> Stores:
    return Stores(four)


def test_a_minority_may_be_down(stores: Stores) -> None:
    meta = stores.metastore(5)
    key, version = meta.file_key("name"), NONE
    for number, down in enumerate(itertools.combinations(range(5), 2)):
        with stores.down(*down):
            reading = meta.read(key)
            assert reading.is_certain
            assert reading.data == (None if number == 0 else b"%d" % (number - 1))
            version = meta.write(key, b"%d" % number, reading.version)
    assert meta.read(key).version == version
    assert version.number == 10


def test_without_a_majority_nothing_is_written_and_reads_are_marked(stores: Stores) -> None:
    meta = stores.metastore()
    key = meta.file_key("name")
    version = meta.write(key, b"old", NONE)
    with stores.down(0, 1):
        with pytest.raises(QuorumError, match="cannot write the metadata: 1 of 3 stores"):
            meta.write(key, b"new", version)
    with stores.down(1, 2):
        assert (meta.read(key).data, meta.read(key).is_certain) == (b"old", False)
        with pytest.raises(QuorumError, match="2 are needed"):
            meta.read(meta.file_key("other"))
    with stores.down(0, 1, 2), pytest.raises(QuorumError, match="0 of 3 stores"):
        meta.read(key)


def test_a_store_that_missed_writes_does_not_bring_back_the_old(stores: Stores) -> None:
    meta = stores.metastore()
    key = meta.file_key("name")
    version = meta.write(key, b"old", NONE)
    with stores.down(2):
        meta.write(key, b"new", version)
    assert b"old" not in {meta.read(key).data for _ in range(20)}


def test_the_later_of_two_writers_is_told(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has the larger number wins, and all stores get its value."""
    meta = stores.metastore()
    key = meta.file_key("name")
    version = meta.write(key, b"old", NONE)
    other = Version(version.number + 1, (1 << 64) - 1)
    stores.servers.put(stores.backends[1], key, pack(b"theirs", other, meta.key, key))
    put = stores.servers.put

    def late(store: Backend, name: bytes, value: bytes) -> None:
        """Let the other writer's value arrive after ours at one store."""
        put(store, name, value)
        if store == stores.backends[1]:
            put(store, name, pack(b"theirs", other, meta.key, key))

    monkeypatch.setattr(stores.servers, "put", late)
    with pytest.raises(ConflictError), stores.down(0):
        meta.write(key, b"ours", version)
    assert meta.read(key).data == b"theirs"
    assert meta.read(key).version == other


def test_a_damaged_or_moved_value_does_not_count(stores: Stores) -> None:
    meta = stores.metastore()
    key, other = meta.file_key("name"), meta.file_key("other")
    meta.write(key, b"text", NONE)
    meta.write(other, b"another text", NONE)
    value = stores.values(0)[key]
    stores.put(0, key, value[:-1] + bytes([value[-1] ^ 1]))
    assert meta.read(key).data == b"text"
    stores.put(1, key, stores.values(1)[other])
    reading = meta.read(key)
    assert (reading.data, reading.is_certain) == (b"text", False)


def test_stores_learn_neither_names_nor_content(stores: Stores) -> None:
    meta = stores.metastore()
    meta.write(meta.file_key("a name"), b"some content", NONE)
    for key, value in stores.values(0).items():
        assert b"a name" not in key + value
        assert b"some content" not in value
    assert Metastore(stores.servers, [], "p", b"x" * 32).file_key("a name") != meta.file_key(
        "a name"
    )


def test_keys_are_listed_from_all_stores_once(stores: Stores) -> None:
    meta = stores.metastore()
    keys = {meta.file_key(f"name {n}") for n in range(25)}
    with stores.down(0):
        for key in keys:
            meta.write(key, b"x", NONE)
    meta.create(meta.entry_key("journal", "ab"), b"x")
    listed = list(meta.keys("file"))
    assert sorted(listed) == sorted(keys)
    assert list(meta.keys("journal")) == [b"/p/journal/ab"]
    meta.remove(b"/p/journal/ab")
    assert list(meta.keys("journal")) == []
    with stores.down(0, 1), pytest.raises(QuorumError, match="cannot list"):
        list(meta.keys("file"))


def test_upstreams_metadata_needs_four_stores_to_write_and_two_to_read(stores: Stores) -> None:
    meta = UpstreamMetastore(stores.servers, stores.backends, "gold", KEY)
    key = meta.file_key("/srv/zstor/files/one-of-two.bin")
    assert key == b"/gold/meta/2acdbc97e882eb871f26b49170cf81a0"
    assert meta.read(key) is None
    meta.write(key, b"metadata")
    for down in itertools.combinations(range(4), 2):
        with stores.down(*down):
            assert meta.read(key) == b"metadata"
    with stores.down(0, 1, 2), pytest.raises((QuorumError, LostError)):
        meta.read(key)
    with stores.down(3):
        with pytest.raises(QuorumError, match="3 of 4"):
            meta.check_writable()
        with pytest.raises(QuorumError, match="3 of 4"):
            meta.write(key, b"new")
    assert meta.read(key) == b"new"
    meta.remove(key)
    assert meta.read(key) is None


def test_upstreams_metadata_under_another_key_is_refused(stores: Stores) -> None:
    key = b"/gold/meta/x"
    UpstreamMetastore(stores.servers, stores.backends, "gold", KEY).write(key, b"metadata")
    with pytest.raises(DamagedError):
        UpstreamMetastore(stores.servers, stores.backends, "gold", b"x" * 32).read(key)


def test_errors_say_which_store(stores: Stores) -> None:
    with stores.down(0), pytest.raises(BackendError, match="m0"):
        stores.servers.get(stores.backends[0], b"key")
