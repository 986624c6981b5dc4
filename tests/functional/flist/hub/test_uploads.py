"""Uploads to a hub, with a token: blocks, files and flists."""

import hashlib
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.hub.contents.contents import PIECE_BYTES
from flist.hub.web.bodies import MAX_JSON_BYTES
from tests.helpers.flist.hub import TOKEN, fetch, make_root
from tests.helpers.flist.mount import Hub, rfs, serving
from tests.helpers.flist.stores import check_copy
from tests.helpers.flist.trees import describe, make_small_tree
from tests.helpers.waiting import wait_until

WITH = ["--token", TOKEN]
JSON = {"Content-Type": "application/json"}


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Iterator[Hub]:
    """Serve a hub that accepts uploads."""
    with serving(make_root(tmp_path / "hub")) as hub:
        yield hub


def test_a_flist_is_packed_to_a_hub_and_published(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    meta = tmp_path / "a.fl"
    rfs("pack", "-m", meta, "-s", f"server://{hub.url}?token={TOKEN}", tree)
    assert TOKEN.encode() not in meta.read_bytes()
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", meta, "-k", tmp_path / "key", "-n", "me/tree")
    url = rfs("publish", "-m", meta, "-s", hub.url, *WITH, "me/tree.fl").stdout
    assert url == f"{hub.url}/me/tree.fl\n"
    published = tmp_path / "published.fl"
    for suffix in ("", ".sig"):
        Path(f"{published}{suffix}").write_bytes(fetch(f"{hub.url}/me/tree.fl{suffix}"))
    assert published.read_bytes() == meta.read_bytes()
    words: list[str | Path] = ["-m", published, "-c", tmp_path / "cache"]
    rfs("unpack", *words, "--key", tmp_path / "key.pub", "--name", "me/tree", tmp_path / "out")
    assert describe(tmp_path / "out") == describe(tree)
    name = rfs("flist-create", "-o", tmp_path / "b.fl", "-s", hub.url, *WITH, tree).stdout.strip()
    assert (tmp_path / "b.fl").read_bytes() == meta.read_bytes()
    rfs("download", "-o", tmp_path / "c.fl", "-s", hub.url, name)
    assert (tmp_path / "c.fl").read_bytes() == meta.read_bytes()


def test_uploads_without_the_token_are_refused(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    calls: list[list[str | Path]] = [
        ["pack", "-m", tmp_path / "a.fl", "-s", f"server://{hub.url}?token=wrong", tree],
        ["pack", "-m", tmp_path / "a.fl", "-s", f"server://{hub.url}", tree],
        ["upload", "-s", hub.url, "--token", "", tree / "one"],
    ]
    for words in calls:
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "token" in done.stderr
    assert not (tmp_path / "a.fl").exists()
    assert not (tmp_path / "hub" / "blocks").exists()
    (tmp_path / "a.fl").write_bytes(b"x")
    refused = rfs("publish", "-m", tmp_path / "a.fl", "-s", hub.url, "a/b.fl", check=False)
    assert refused.returncode == 1


@pytest.mark.parametrize("block_bytes", ["256K", "1M", "2M"])
def test_files_go_up_and_come_down(hub: Hub, tmp_path: Path, block_bytes: str) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(content)
    words = ["-s", hub.url, "-b", block_bytes]
    assert rfs("exists", *words, tmp_path / "file", check=False).returncode == 1
    name = rfs("upload", *words, *WITH, tmp_path / "file").stdout.strip()
    assert rfs("exists", *words, tmp_path / "file").returncode == 0
    assert rfs("exists", *words, name).returncode == 0
    assert rfs("exists", *words, "0" * 64, check=False).returncode == 1
    rfs("download", "-s", hub.url, "-o", tmp_path / "back", name)
    assert (tmp_path / "back").read_bytes() == content
    block = next((tmp_path / "hub" / "blocks").glob("*/*"))
    block.write_bytes(b"wrong")
    (tmp_path / "back").unlink()
    done = rfs("download", "-s", hub.url, "-o", tmp_path / "back", name, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "back").exists()


def test_directories_and_syncing(hub: Hub, tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    (tree / "far").symlink_to("x" * 4000)  # longer than any name
    words: list[str | Path] = ["--create-flist", "--flist-output", tmp_path / "a.fl"]
    lines = rfs("upload-dir", "-s", hub.url, *WITH, *words, tree).stdout.splitlines()
    names = {path: name for name, _, path in (line.partition("  ") for line in lines)}
    assert "sub/text" in names
    with serving(make_root(tmp_path / "other")) as other:
        pair = ["-s", hub.url, "-d", other.url, *WITH]
        rfs("sync", "-h", names["big"], *pair)
        rfs("download", "-s", other.url, "-o", tmp_path / "big", names["big"])
        assert (tmp_path / "big").read_bytes() == (tree / "big").read_bytes()
        rfs("sync", *pair)
        assert "0 blocks were missing" in rfs("sync", *pair).stderr
        check_copy(tmp_path / "a.fl", f"server://{other.url}", tree, tmp_path / "copy")


def send(url: str, body: bytes, **headers: str) -> dict[str, str]:
    """POST bytes; return the JSON of the response."""
    head = {"Authorization": f"Bearer {TOKEN}", **headers}
    request = urllib.request.Request(url, body, head, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 201
        found: dict[str, str] = json.loads(answer.read())
        return found


@pytest.mark.parametrize("size", [0, 1, 1 << 20, 2_500_000])
def test_a_whole_file_goes_up_and_comes_down(hub: Hub, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    name = send(f"{hub.url}/api/v1/file", content)["file_hash"]
    assert name == hashlib.sha256(content).hexdigest()
    assert send(f"{hub.url}/api/v1/file", content)["file_hash"] == name
    assert fetch(f"{hub.url}/api/v1/file/{name}") == content
    listed = json.loads(fetch(f"{hub.url}/api/v1/blocks/{name}"))["blocks"]
    assert [index for _, index in listed] == list(range(-(-size // PIECE_BYTES)))
    if size > 1 << 20:
        part = fetch(f"{hub.url}/api/v1/file/{name}", Range="bytes=1048570-1048580")
        assert part == content[1048570:1048581]
        (tmp_path / "file").write_bytes(content)
        words = ["-s", hub.url, "-b", "256K", *WITH]
        other = rfs("upload", *words, tmp_path / "file").stdout.strip()
        assert fetch(f"{hub.url}/api/v1/file/{other}") == content
        block = listed[1][0]
        (tmp_path / "hub" / "blocks" / block[:2] / block).unlink()
        assert refusal(f"{hub.url}/api/v1/file/{name}") == 404


def refusal(url: str, body: bytes | None = None, **headers: str) -> int:
    """Return the status of a request that is refused."""
    request = urllib.request.Request(url, body, headers)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    caught.value.close()
    return caught.value.code


def test_an_incomplete_file_is_not_served(hub: Hub, tmp_path: Path) -> None:
    url = f"{hub.url}/api/v1/file"
    assert refusal(url, b"x") == 401
    assert refusal(url, b"x", Authorization="Bearer wrong") == 401
    assert not (tmp_path / "hub" / "blocks").exists()
    for name in ("0" * 64, "x", "A" * 64):
        assert refusal(f"{url}/{name}") == 404
    # A file that is uploaded block by block is served once all blocks are there.
    names = [hashlib.blake2b(body, digest_size=32).hexdigest() for body in (b"one", b"two")]
    whole = hashlib.sha256("".join(names).encode()).hexdigest()
    block_url = f"{hub.url}/api/v1/block?file_hash={whole}&idx="
    send(f"{block_url}1", b"two")
    assert refusal(f"{url}/{whole}") == 404
    send(f"{block_url}0", b"one")
    assert fetch(f"{url}/{whole}") == b"onetwo"
    # Nor is a file whose client disconnects half-way.
    host, _, port = hub.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        head = f"POST /api/v1/file HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        sock.sendall(head.encode() + b"Content-Length: 2000000\r\n\r\n" + b"a" * 1_500_000)
        arriving = tmp_path / "hub" / "tmp"
        wait_until(lambda: any(arriving.iterdir()), "the file that is being written")
    wait_until(lambda: not any(arriving.iterdir()), "an empty folder")
    hub.process.terminate()
    assert hub.process.stderr is not None
    assert "Traceback" not in hub.process.stderr.read()


def test_upstreams_list_of_flists(tmp_path: Path) -> None:
    folder = tmp_path / "plain" / "flists" / "me"
    folder.mkdir(parents=True)
    (folder / "tree.fl").write_bytes(b"x" * 7)
    with serving(tmp_path / "plain") as hub:
        assert json.loads(fetch(f"{hub.url}/api/v1"))["msg"]
        rows = json.loads(fetch(f"{hub.url}/api/v1/fl"))["me"]
        found = [(row["name"], row["size"], row["is_file"]) for row in rows]
        assert found == [("tree.fl", 7, True)]
        assert fetch(f"{hub.url}/{rows[0]['path_uri']}") == b"x" * 7


def test_the_size_and_depth_of_json_are_limited(hub: Hub) -> None:
    """Routes without a token limit the body, and deeply nested JSON does not end the hub."""
    for path in ("block/verify", "signin"):
        url = f"{hub.url}/api/v1/{path}"
        for body in (b"[" * (200_000 if path == "block/verify" else 16_000), b"x"):
            assert refusal(url, body, **JSON) == 400
        for body in (b"{}", b'{"blocks": 7}'):
            assert refusal(url, body, **JSON) == 422
        # One byte too many; the hub reads it, so that the client gets to see the response.
        assert refusal(url, b" " * (MAX_JSON_BYTES + 1), **JSON) == 413
    names = {"blocks": [{"block_hash": "a" * 64, "file_hash": "a" * 64, "block_index": 0}]}
    request = urllib.request.Request(
        f"{hub.url}/api/v1/block/verify", json.dumps(names).encode(), JSON
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert json.loads(answer.read()) == {"missing": ["a" * 64]}
