"""Ctrl-C returns soon although a store does not answer."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist.faults import (
    FaultyServer,
    faulty_server,
    make_many_files,
    pack_into,
    start_rfs,
)
from tests.helpers.waiting import wait_until

ENDS_WITHIN_S = 15.0
"""A request without an answer takes 20 s and is retried for 60 s."""
COMMANDS = {
    "prefetch": "prefetch -m TOP/a.fl --store URL -c TOP/cache",
    "verify": "verify -m TOP/a.fl --store URL",
    "clone": "clone -m TOP/a.fl --from URL -s dir://TOP/more",
    "convert": "convert -m TOP/a.fl --from URL -s dir://TOP/more -o TOP/b.fl",
    "unpack in several processes": "unpack -m TOP/a.fl --store URL --processes 3 TOP/out",
    "unpack in one process": "unpack -m TOP/a.fl --store URL --processes 1 TOP/out",
}


@pytest.fixture(name="top", scope="module")
def make_packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("stalled")
    pack_into(top, make_many_files(top / "tree", 100, size=100_000))
    return top


@pytest.fixture(name="server")
def make_server(top: Path) -> Iterator[FaultyServer]:
    with faulty_server(top / "blocks") as server:
        server.break_with("stall")
        yield server


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_ends_soon(name: str, top: Path, server: FaultyServer) -> None:
    words = COMMANDS[name].replace("TOP", str(top)).replace("URL", server.url).split(" ")
    with start_rfs(*words) as process:
        try:
            wait_until(lambda: server.asked > 0, "a request", 60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=ENDS_WITHIN_S)
        finally:
            process.kill()
    assert (process.returncode, said) == (130, "zos flist: interrupted\n")
    assert not list((top / "out").rglob(".rfs-*"))
    assert not list((top / "more").rglob("*.tmp"))
