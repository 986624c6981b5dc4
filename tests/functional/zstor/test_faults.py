"""Backends that hang or are slow, writers at the same time, and metadata that was tampered with."""

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.zstor.farm import Farm, write_file
from tests.helpers.zstor.relay import Relay, relay
from zstor.backends.connection import Patience
from zstor.config import Config, parse_config
from zstor.errors import ConflictError, ZstorError
from zstor.pipeline.retrieving import retrieve
from zstor.pipeline.storing import store_file, store_parts
from zstor.pipeline.vault import Vault

SHORT = Patience(connect_s=5, answer_s=1.5, rest_s=30)
LONG = Patience(connect_s=60, answer_s=60)


@pytest.fixture(name="relayed")
def one_relay(four: Farm) -> Iterator[Relay]:
    with relay(four.port) as made:
        yield made


def config_over(four: Farm, relayed: Relay, name: str, groups: list[int]) -> Config:
    """Return a configuration whose namespace `name` is behind the relay."""
    text = four.text(2, 4, groups, chunk_size="1000", compression="none")
    own = four.table(name)
    return parse_config(text.replace(own, own.replace(str(four.port), str(relayed.port))))


@pytest.mark.parametrize("name", ["d0", "d1", "m0"])
def test_a_backend_that_hangs_does_not_hang_a_retrieval(
    four: Farm, relayed: Relay, tmp_path: Path, name: str
) -> None:
    content = os.urandom(20_000)
    config = config_over(four, relayed, name, [4])
    with Vault(config, LONG) as vault:
        store_file(vault, write_file(tmp_path, content), "name")
        relayed.hang()
        start = time.monotonic()
        retrieve(vault, "name", tmp_path / "back")
        assert time.monotonic() - start < 10, "it is waited for once, not for every chunk"
    assert (tmp_path / "back").read_bytes() == content


def test_a_backend_that_hangs_meanwhile_is_replaced(
    four: Farm, relayed: Relay, tmp_path: Path
) -> None:
    content = os.urandom(20_000)

    def parts() -> Iterator[bytes]:
        for start in range(0, len(content), 1000):
            if start == 5000:
                relayed.hang()
            yield content[start : start + 1000]

    with Vault(config_over(four, relayed, "d0", [3, 3]), SHORT) as vault:
        store_parts(vault, parts(), "name", len(content))
        retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_a_backend_that_hangs_without_a_spare_is_told(
    four: Farm, relayed: Relay, tmp_path: Path
) -> None:
    relayed.hang()
    with Vault(config_over(four, relayed, "d0", [4]), SHORT) as vault:
        with pytest.raises(ZstorError, match="only 3 backends are usable") as caught:
            store_file(vault, write_file(tmp_path, b"content"), "name")
        assert any(
            "no answer within" in note or "timed out" in note for note in notes(caught.value)
        )
    assert four.pieces(4) == [0, 0, 0, 0]


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_a_slow_backend_only_slows(four: Farm, relayed: Relay, tmp_path: Path) -> None:
    content = os.urandom(3000)
    relayed.is_slow = True
    with Vault(config_over(four, relayed, "d0", [4]), LONG) as vault:
        store_file(vault, write_file(tmp_path, content), "name")
        retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content


def test_of_two_writers_at_once_one_wins_whole(four: Farm, tmp_path: Path) -> None:
    config = four.config(2, 4, [4])

    def write(content: bytes) -> ConflictError | None:
        try:
            with Vault(config, LONG) as vault:
                store_parts(vault, [content], "name", 2000)
        except ConflictError as error:
            return error
        return None

    for _ in range(10):
        contents = [os.urandom(2000) for _ in range(2)]
        with ThreadPoolExecutor(2) as threads:
            ends = list(threads.map(write, contents))
        with Vault(config, LONG) as vault:
            retrieve(vault, "name", tmp_path / "back")
        assert ends[contents.index((tmp_path / "back").read_bytes())] is None


def test_no_change_of_stored_metadata_crashes_or_deceives(four: Farm, tmp_path: Path) -> None:
    content = os.urandom(2000)
    draw = random.Random(11)
    with four.vault(four.config(2, 4, [4], meta=1)) as vault:
        store_file(vault, write_file(tmp_path, content), "name")
        key = vault.metastore.file_key("name")
        store = vault.config.stores[0]
        value = vault.servers.get(store, key)
        assert value is not None
        for _ in range(60):
            changed = bytearray(value)
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
            cut = bytes(changed[: draw.choice([len(changed), draw.randrange(len(changed))])])
            vault.servers.put(store, key, cut)
            with pytest.raises(ZstorError):
                retrieve(vault, "name", tmp_path / "back")
    assert not (tmp_path / "back").exists()
