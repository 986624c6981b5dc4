"""Earlier versions of a flist, by the commands; and a large upload does not fill the memory."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.helpers.flist.hub import TOKEN, fetch, make_root
from tests.helpers.flist.mount import Hub, rfs, serving
from tests.helpers.flist.trees import make_small_tree

WITH = ["--token", TOKEN]
LARGE_BYTES = 200 << 20
MEMORY_KB = 60_000


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(make_root(tmp_path / "hub")) as hub:
        yield hub


def test_a_rollback_publishes_the_version_before(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta, address = tmp_path / "a.fl", f"{hub.url}/me/tree.fl"
    versions = []
    for number in (1, 2):
        (tree / "one").write_text(f"version {number}")
        rfs("pack", "-m", meta, "-s", f"server://{hub.url}?token={TOKEN}", tree)
        rfs("publish", "-m", meta, "-s", hub.url, *WITH, "me/tree.fl")
        versions.append(meta.read_bytes())
    rows = json.loads(rfs("history", "-s", hub.url, "--json", "me/tree.fl").stdout)
    assert [row["is_current"] for row in rows] == [True, False]
    lines = rfs("history", "-s", hub.url, "me/tree.fl").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [row["digest"] for row in rows]
    done = rfs("rollback", "-s", hub.url, *WITH, "me/tree.fl")
    assert done.stdout == f"{rows[1]['digest']}\n"
    assert fetch(address) == versions[0]
    rfs("rollback", "-s", hub.url, *WITH, "me/tree.fl", rows[0]["digest"][:10])
    assert fetch(address) == versions[1]
    for words in (["me/tree.fl", "0" * 64], ["me/tree.fl", "0"], ["me/absent.fl"], ["../x"]):
        assert rfs("rollback", "-s", hub.url, *WITH, *words, check=False).returncode in (1, 2)
    refused = rfs("rollback", "-s", hub.url, "--token", "", "me/tree.fl", check=False)
    assert refused.returncode == 1
    assert "token" in refused.stderr
    assert fetch(address) == versions[1]


def peak_kb(hub: Hub) -> int:
    """Return how much memory the hub has used at most."""
    text = Path(f"/proc/{hub.process.pid}/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0])


def test_a_large_upload_goes_to_the_disk(hub: Hub, tmp_path: Path) -> None:
    before = peak_kb(hub)
    place = urlsplit(hub.url)
    with socket.create_connection((place.hostname, place.port or 0), timeout=120) as sock:
        head = f"PUT /me/big.fl HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        sock.sendall(f"{head}Content-Length: {LARGE_BYTES}\r\n\r\n".encode())
        piece = bytes(1 << 20)
        for _ in range(LARGE_BYTES // len(piece)):
            sock.sendall(piece)
        assert sock.recv(100).split()[1] == b"422"  # zeros are no flist
    assert peak_kb(hub) - before < MEMORY_KB
    assert list((tmp_path / "hub" / "tmp").iterdir()) == []
