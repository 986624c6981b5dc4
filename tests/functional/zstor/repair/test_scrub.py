"""What a scrub tells of shards that are gone, changed or out of reach."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.zstor.farm import Farm, write_file
from zstor.format.file import Chunk, StoredFile
from zstor.pipeline.storing import delete, store_file
from zstor.repair.inspecting import Inspection, Inspector
from zstor.repair.rate import Rate
from zstor.repair.scrubbing import Health, scrub_all, scrub_key

FOUR = [4]


def scrub(four: Farm, *, presence: bool = False, groups: list[int] = FOUR) -> dict[str, Health]:
    with four.vault(four.config(2, 4, groups, chunk_size="1000")) as vault:
        inspector = Inspector(vault, is_presence_enough=presence)
        return {health.name: health for health in scrub_all(vault, inspector)}


@pytest.fixture(name="stored")
def two_stored_files(four: Farm, tmp_path: Path) -> Farm:
    with four.vault(four.config(2, 4, FOUR, chunk_size="1000")) as vault:
        for name in ("a", "b"):
            store_file(vault, write_file(tmp_path, os.urandom(3500)), name)
        delete(vault, "b")
    return four


def test_whole_files_are_whole(stored: Farm) -> None:
    assert scrub(stored) == {"a": Health("a", "whole", 0, 2, 4, 16, {}, [])}


def test_changed_bytes_are_seen_by_their_checksum_only(stored: Farm) -> None:
    stored.flip("d1")
    found = scrub(stored)["a"]
    assert (found.state, found.missing, found.faults) == ("at risk", 1, {"damaged": 4})
    assert found.told[0].endswith("is damaged")
    assert scrub(stored, presence=True)["a"].state == "whole"


@pytest.mark.parametrize("presence", [False, True])
def test_a_wiped_namespace_of_a_live_server_is_seen(stored: Farm, *, presence: bool) -> None:
    stored.make("d2", "seq")
    found = scrub(stored, presence=presence)["a"]
    assert (found.state, found.missing, found.faults) == ("at risk", 1, {"missing": 4})


def test_too_many_losses_are_told_with_the_shards(stored: Farm) -> None:
    stored.wipe("d0", "d1")
    with stored.down("d3"):
        found = scrub(stored)["a"]
    assert (found.state, found.missing, found.parity) == ("lost", 3, 2)
    assert found.faults == {"missing": 8, "unreachable": 4}
    assert sum("d3" in text for text in found.told) == 1


def test_a_file_that_is_replaced_meanwhile_is_looked_at_again(
    stored: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = stored.config(2, 4, FOUR, chunk_size="1000")
    with stored.vault(config) as vault, stored.vault(config) as other:
        inspector = Inspector(vault)
        inspect = inspector.inspect

        def late(file: StoredFile, chunk: Chunk) -> Inspection:
            monkeypatch.undo()
            store_file(other, write_file(tmp_path, b"new"), "a")
            return inspect(file, chunk)

        monkeypatch.setattr(inspector, "inspect", late)
        found = scrub_key(inspector, vault.metastore.file_key("a"))
    assert found == Health("a", "whole", 0, 2, 1, 4, {}, [])


def test_shards_on_a_backend_that_is_no_longer_configured_are_told(stored: Farm) -> None:
    with stored.vault(stored.config(1, 3, [3], chunk_size="1000")) as vault:
        stored.ask("NSSET", "d3", "public", "1")
        found = scrub_key(Inspector(vault), vault.metastore.file_key("a"))
    assert found is not None
    assert (found.state, found.missing) == ("at risk", 0 if "moved" in found.faults else 1)


def test_lost_lists_of_chunks_are_told(four: Farm, tmp_path: Path) -> None:
    with four.vault(four.config(2, 4, FOUR, chunk_size="64")) as vault:
        store_file(vault, write_file(tmp_path, os.urandom(6400)), "a")
        found = list(scrub_all(vault, Inspector(vault)))
        assert (found[0].state, found[0].chunks > 100) == ("whole", True)
        four.wipe("d0", "d1", "d2")
        found = list(scrub_all(vault, Inspector(vault)))
        assert (found[0].state, found[0].missing) == ("lost", 3)


def test_the_rate_is_kept(stored: Farm) -> None:
    with stored.vault(stored.config(2, 4, FOUR, chunk_size="1000")) as vault:
        start = time.monotonic()
        list(scrub_all(vault, Inspector(vault, Rate(20_000))))
        assert time.monotonic() - start > 0.25


def test_the_command(stored: Farm, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(stored.text(2, 4, FOUR, root=f'"{tmp_path}"'))

    def call(*words: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "zero_os", "zstor", "-c", str(config), "scrub", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    assert call("--rate", "10") == (0, "", "zos zstor: files: 1: 1 whole, 0 at risk, 0 lost\n")
    stored.flip("d0")
    status, told, _ = call()
    assert (status, told.splitlines()[0]) == (1, "a: at risk: 1 shards are missing, 2 may be")
    status, told, _ = call("--json", "-f", str(tmp_path / "a"))
    assert (status, json.loads(told)["faults"]) == (1, {"damaged": 4})
    assert "it is not stored" in call("-f", str(tmp_path / "b"))[2]
    assert call("--rate", "0")[0] == 2
