"""0-hub's interface over HTTP.

What upstream's answered to 318 requests is asked of three servers of ours again; and our client.
"""

import json
import re
import subprocess
import sys
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest

from common.errors import ZosError
from flist.cli import main
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.viewer import PUBLISH, READ, SCOPES, UPLOAD
from tests.functional.flist.hub.test_serve import ask
from tests.helpers.flist.mount import serving
from tests.helpers.flist.zerohub import make_tar, member
from tests.helpers.samples import samples_dir

DEADLINE_S = 300
ACCOUNTS = {
    "alice": "alice.3bot", "bob": "bob.3bot", "guest": "guest", "official": "tfofficial.3bot",
}  # fmt: skip
PUBLIC = ("--public-url", "https://hub.example", "--public-store", "zdb://zdb.hub.example:9900")
DIFFERS = {
    "download": "it has a strong ETag and ranges, which upstream's has not",
}
"""The steps that may differ, and why."""


def fill(root: Path, official: str = "") -> dict[str, str]:
    """Make a hub's accounts, and an official repository; return a token of each account."""
    root.mkdir()
    hub = open_hub(HubSettings(root=root))
    try:
        tokens = {name: add_account(hub, ACCOUNTS[name]) for name in ACCOUNTS}
        if official:
            add_official(hub, official)
    finally:
        hub.close()
    return tokens


def add_account(hub: Hub, name: str) -> str:
    """Make a user; return a token of it."""
    account = hub.accounts.create(name)
    return hub.tokens.create(account, "replay", (READ, UPLOAD, PUBLISH))


def add_official(hub: Hub, name: str) -> None:
    """Make an official repository, which belongs to a group with one member, or to a user."""
    if name == "Administrator":
        hub.accounts.create(name)
    else:
        hub.accounts.create(name, kind="group")
        hub.accounts.add_member(name, ACCOUNTS["official"])
    admin = hub.accounts.viewer_of(hub.accounts.create("root", is_admin=True), SCOPES)
    hub.repositories.create(admin, name, owner=name)
    hub.repositories.change(admin, name, is_official=True)


def with_tokens(scenario: Path, tokens: dict[str, str], place: Path) -> Path:
    """Write a scenario in which our tokens stand for upstream's, also within headers."""
    text = scenario.read_text()
    for name, theirs in json.loads(text)["tokens"].items():
        if name in tokens:
            text = text.replace(json.dumps(theirs)[1:-1], tokens[name])
    place.write_text(text)
    return place


def test_the_recorded_requests_are_answered_as_upstream_did_or_better(tmp_path: Path) -> None:
    samples = samples_dir() / "hub"
    tokens = fill(tmp_path / "main", "official-apps")
    fill(tmp_path / "local", "Administrator")
    fill(tmp_path / "readonly")
    scenario = with_tokens(samples / "scenario.json", tokens, tmp_path / "scenario.json")
    modes = {"main": (), "local": ("--open-to-all", "true"), "readonly": ("--read-only", "true")}
    with ExitStack() as held:
        call = [sys.executable, str(samples.parents[1] / "tools" / "replay_server.py"), "compare"]
        call += [str(scenario), str(samples / "answers.json"), "-v"]
        for name, words in modes.items():
            hub = held.enter_context(serving(tmp_path / name, "127.0.0.1:0", *PUBLIC, *words))
            call += ["--base", f"{name}={hub.url}"]
        done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    different = re.findall(r"^(?:DIFFERS|COPIED)\s+(\S+)", done.stdout, re.MULTILINE)
    assert set(different) == set(DIFFERS), done.stdout + done.stderr
    assert "answers good" in done.stdout
    assert "skipped" not in done.stdout.splitlines()[-1]


def test_the_client_does_what_upstreams_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens = fill(tmp_path / "hub", "official-apps")
    archive = tmp_path / "app-1.0.tar.gz"
    archive.write_bytes(make_tar([(member("bin/app"), b"#!/bin/sh\n"), (member("etc"), b"1")]))
    with serving(tmp_path / "hub", "127.0.0.1:0", *PUBLIC) as hub:

        def run(user: str, *words: str | Path, group: str = "", error: str = "") -> str:
            """Run `zos flist hub` as a user; return what it prints. It has to fail with `error`."""
            monkeypatch.setenv("ZFLIST_HUB", hub.url)
            monkeypatch.setenv("ZFLIST_HUB_TOKEN", tokens[user])
            monkeypatch.setenv("ZFLIST_HUB_USER", group)
            refused = pytest.raises(ZosError) if error else nullcontext()
            with refused as caught:
                assert main(["hub", *map(str, words)], "zos flist") == 0
            if caught is not None:
                assert error in f"{caught.value.message} {caught.value.hint}"
            return capsys.readouterr().out.strip()

        assert run("alice", "username") == "alice.3bot"
        assert run("official", "username", group="official-apps") == "official-apps"
        assert run("alice", "upload", archive) == "app-1.0.flist"
        run("alice", "symlink", "app-1.0", "app")
        assert run("alice", "readlink", "alice.3bot/app") == "app-1.0.flist"
        run("bob", "crosslink", "theirs", "alice.3bot", "app")
        assert run("bob", "readlink", "bob.3bot/theirs") == "../alice.3bot/app.flist"
        run("bob", "tag", "v1", "app", "alice.3bot", "app-1.0")
        run("alice", "crosstag", "stable", "bob.3bot", "v1")
        assert run("alice", "taglink", "alice.3bot/stable") == "bob.3bot/tags/v1"
        run("bob", "untag", "v1", "app", "alice.3bot", "app-1.0")
        run("official", "promote", "alice.3bot/app", "app", group="official-apps")
        run("bob", "merge", "all", "official-apps/app", "alice.3bot/app-1.0.flist")
        run("bob", "rename", "all", "everything")
        run("bob", "delete", "everything")
        saved = tmp_path / "saved.flist"
        saved.write_bytes(ask(hub.url, "/alice.3bot/app.flist")[1])
        assert run("bob", "upload", saved) == "saved.flist"
        listed = json.loads(ask(hub.url, "/api/flist/bob.3bot")[1])
        assert [row["name"] for row in listed] == ["saved.flist", "theirs.flist"]
        run("bob", "delete", "nothing", error="source not found")
        run("bob", "readlink", "bob.3bot/saved", error="not a link")
        run("bob", "tag", "v1", error="TAG NAME REPO FLIST")
        run("bob", "delete", "..", error="as a name")
        tokens["bob"] = "wrong"
        run("bob", "login", error="--token")
