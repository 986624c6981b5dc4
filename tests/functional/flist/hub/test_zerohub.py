"""What upstream's 0-hub answered, asked of this hub again: 318 requests to three servers."""

import json
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.viewer import PUBLISH, READ, SCOPES, UPLOAD
from tests.helpers.flist.mount import serving
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
