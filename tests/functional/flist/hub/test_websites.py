"""Signing in at a hub, and using the token: directories, websites, download counts."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.helpers.flist.hub import TOKEN, make_root
from tests.helpers.flist.mount import Hub, rfs, serving
from tests.helpers.flist.trees import describe, make_small_tree
from tests.helpers.waiting import wait_until

PASSWORD = "alice-password"


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Iterator[Hub]:
    """Serve a hub where `alice` can sign in."""
    with serving(make_root(tmp_path / "hub")) as hub:
        yield hub


@pytest.fixture(name="token")
def make_token(hub: Hub) -> list[str]:
    """Sign in; return the flags that carry the token."""
    done = rfs("token", "-u", "alice", "-p", PASSWORD, "-s", hub.url)
    return ["--token", done.stdout.strip()]


def fetch(url: str, **headers: str) -> HTTPResponse:
    """Return the answer of a GET."""
    pairs = {key.replace("_", "-"): value for key, value in headers.items()}
    found: HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=pairs), timeout=60
    )
    return found


def test_a_wrong_password_gives_no_token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, password in (("alice", "wrong password"), ("nobody", PASSWORD), ("alice", "")):
        done = rfs("token", "-u", name, "-p", password, "-s", hub.url, check=False)
        assert done.returncode in (1, 2)
        assert "refused" in done.stderr or "empty" in done.stderr
        assert not done.stdout
    monkeypatch.setenv("RFS_PASSWORD", PASSWORD)
    assert rfs("token", "-u", "alice", "-p", "-", "-s", hub.url).stdout.startswith("zos_")


def test_a_website(hub: Hub, token: list[str], tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    big = os.urandom(1_200_000)
    (site / "index.html").write_text("<title>farm</title>")
    (site / "sub" / "index.html").write_text("below")
    (site / "sub" / "a b.bin").write_bytes(big)
    (site / "out").symlink_to("/etc/passwd")
    url = rfs("website-publish", "-s", hub.url, *token, site).stdout.strip()
    with fetch(url) as answer:
        assert b"farm" in answer.read()
        assert answer.headers["Content-Type"] == "text/html"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        etag = answer.headers["ETag"]
    for address in (url.rstrip("/"), f"{url}sub"):  # a relative redirect adds the slash
        with fetch(address) as answer:
            assert answer.url == f"{address}/"
    with fetch(f"{url}sub/") as answer:
        assert answer.read() == b"below"
    with fetch(f"{url}sub/a%20b.bin") as answer:
        assert answer.read() == big
    with fetch(f"{url}sub/a%20b.bin", Range="bytes=524280-1048600") as answer:
        assert answer.status == 206
        assert answer.read() == big[524280:1048601]
    with pytest.raises(urllib.error.HTTPError, match="304"):
        fetch(url, If_None_Match=etag)
    for path in ("out", "none", "sub/none/x", "index.html/x", "..%2f..%2fetc", "../../blocks/x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(url + path)
    name = url.rstrip("/").rpartition("/")[2]
    blocks = (tmp_path / "hub/blocks").glob("*/*")
    page = next(path.name for path in blocks if not path.read_bytes().startswith(b"SQLite"))
    for wrong in ("0" * 64, "x", name.upper(), page):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"{hub.url}/website/{wrong}/")
    counted = json.loads(rfs("track-website", "-s", hub.url, "-d", "--json", name).stdout)
    assert counted["blocks"] == 5
    assert counted["downloads"] >= 7
    assert len(counted["details"]) == 5


def test_a_directory_goes_up_and_comes_down(hub: Hub, token: list[str], tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    done = rfs("upload-dir", "-s", hub.url, *token, "--create-flist", tree)
    name, path = done.stdout.splitlines()[-1].split()
    assert path.endswith(".fl")
    rfs("download-dir", "-s", hub.url, "-o", tmp_path / "back", name)
    assert describe(tmp_path / "back") == describe(tree)
    listed = rfs("flist", "tree", name, "--server-url", hub.url).stdout
    assert "/sub/text" in listed
    assert "identity" in rfs("flist", "inspect", name, "--server-url", hub.url).stdout
    own = json.loads(rfs("track", "-s", hub.url, *token, "-d", "--json").stdout)
    everything = json.loads(rfs("track-blocks", "-s", hub.url, "-a", "-d", "--json").stdout)
    assert own["blocks"] == everything["blocks"] == len(list((tmp_path / "hub/blocks").glob("*/*")))
    assert own["bytes"] == everything["bytes"] > 0
    one = next(row["name"] for row in own["details"])
    assert "blocks: 1\n" in rfs("track-blocks", "-s", hub.url, "-h", one).stdout
    missing = rfs("track-blocks", "-s", hub.url, "-d", "-h", "0" * 64, check=False)
    assert missing.returncode == 1
    assert "missing: 1\n" in missing.stdout


def test_without_a_token_nothing_is_told(hub: Hub, tmp_path: Path) -> None:
    make_small_tree(tmp_path / "tree")
    for words in (
        ["track", "-s", hub.url, "--token", ""],
        ["track", "-s", hub.url, "--token", "a.b.c"],
        ["website-publish", "-s", hub.url, "--token", "", tmp_path / "tree"],
        ["upload-dir", "-s", hub.url, "--token", "a.b.c", tmp_path / "tree"],
    ):
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "token" in done.stderr
    assert not (tmp_path / "hub" / "blocks").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["website-publish", "/nowhere"],
        ["upload-dir", "/nowhere"],
        ["upload-dir", "--flist-output", "x", "/"],
        ["download-dir", "-o", "x", "not-a-hash"],
        ["track-website", "not-a-hash"],
        ["track-blocks", "-h", "x"],
        ["track-blocks", "-h", "0" * 64, "-a"],
        ["token", "-u", "x"],
    ],
)
def test_what_makes_no_sense_is_said(words: list[str]) -> None:
    done = rfs(*words, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_killed_hub_leaves_no_folder_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next hub that shows a website removes the folder of one that was killed."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "index.html").write_text("<p>page")
    runs = tmp_path / "cache" / "runs"
    found: list[set[Path]] = []
    root = make_root(tmp_path / "hub")
    for number in (signal.SIGKILL, signal.SIGHUP):
        with serving(root) as hub:
            words = ["-s", hub.url, "--token", TOKEN]
            url = rfs("website-publish", *words, tmp_path / "tree").stdout.strip()
            assert fetch(url).read() == b"<p>page"
            found.append(set(runs.glob("hub-*")))
            hub.process.send_signal(number)  # SIGHUP reads the TLS files again, and ends nothing
            if number == signal.SIGHUP:
                assert fetch(url).read() == b"<p>page"
            else:
                hub.process.wait(60)
    first, second = found
    assert len(first) == len(second) == 1
    assert first != second
    wait_until(lambda: not list(runs.glob("hub-*")), "the folder of the last hub to be removed")
