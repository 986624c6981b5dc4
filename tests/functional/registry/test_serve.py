"""`zos registry` over real HTTP: from an empty folder to a month of a node."""

import base64
import json
import signal
import time
from pathlib import Path

import pytest

from registry.log.merkle import EMPTY, leaf_hash, verify_consistency, verify_inclusion
from registry.log.notes import find_signature, parse_head, parse_verifier, split_note
from registry.names import month_of
from tests.helpers.registry.served import Client, serving, zos
from tests.helpers.registry.site import Node
from tests.helpers.serving.process import Running

PLACE = ("--public", "country=Belgium", "--public", "latitude=51.05")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return a new registry, whose log's key is beside it."""
    place = tmp_path / "state"
    (tmp_path / "vkey").write_text(zos("init", place).strip())
    return place


def test_a_farm_and_a_node_and_what_can_be_verified(tmp_path: Path, state: Path) -> None:
    key = tmp_path / "farm.key"
    public = zos("farm", "key", key).strip()
    with serving(state) as server:
        farm = json.loads(
            zos("farm", "register", server.url, "--key", key, "--name", "one", *PLACE)
        )
        assert farm == {"farm": 1, "sequence": 1, "position": 0}
        shown = json.loads(zos("farm", "show", server.url, "1"))
        assert (shown["owner"], shown["public"]["country"]) == (public, "Belgium")
        zos("farm", "change", server.url, "1", "--key", key, "--public", "city=Ghent")
        node = Node(Client([server]), time.time)
        assert node.register()[0] == 200
        assert node.report()[0] == 200
        verify_log(server, (tmp_path / "vkey").read_text())
        assert server.metric('zos_registry_reports_total{kind="heartbeat"}') == 1
        heir = zos("farm", "key", tmp_path / "heir.key").strip()
        zos("farm", "give", server.url, "1", "--key", key, "--to", heir)
        refused = zos("farm", "change", server.url, "1", "--key", key, is_good=False)
        assert "farm 1 is another key's" in refused
        assert server.stop() == 0
    assert "5 entries" in zos("check", "--state", state)
    with serving(state) as server:  # nothing is forgotten by a restart
        node.send = Client([server])
        assert node.report()[0] == 200


def verify_log(server: Running, vkey: str) -> None:
    """Verify the head, that each entry is in the log, and that the log only grew."""
    ask = Client([server])
    head = ask("GET", "/api/v1/log/head")[1]
    text, lines = split_note(head["note"])
    assert find_signature(text, lines, parse_verifier(vkey))
    signed = parse_head(text)
    entries = ask("GET", "/api/v1/log/entries")[1]["entries"]
    assert len(entries) == signed.size == 4
    for entry in entries:
        hash_ = leaf_hash(base64.b64decode(entry["leaf"]))
        found = ask("GET", f"/api/v1/log/inclusion?position={entry['position']}&size=4")[1]
        path = list(map(base64.b64decode, found["path"]))
        assert verify_inclusion(hash_, entry["position"], 4, path, signed.root)
    for first in range(5):
        before = ask("GET", f"/api/v1/log/consistency?first=0&size={first}")[1] if first else {}
        root = base64.b64decode(before["root"]) if first else EMPTY
        path = ask("GET", f"/api/v1/log/consistency?first={first}")[1]["path"]
        proof = list(map(base64.b64decode, path))
        assert verify_consistency(first, root, 4, signed.root, proof)


def test_the_log_and_a_month_are_exported(tmp_path: Path, state: Path) -> None:
    key = tmp_path / "farm.key"
    zos("farm", "key", key)
    with serving(state) as server:
        zos("farm", "register", server.url, "--key", key, "--name", "one", "--number", "7")
        node = Node(Client([server]), time.time, farm=7)
        node.register()
        head = Client([server])("GET", "/api/v1/log/head")[1]
    assert zos("export", "--state", state, "--log", tmp_path / "log") == "2\n"
    lines = (tmp_path / "log").read_bytes().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["farm", "report"]
    assert (tmp_path / "log.head").read_text() == head["note"]
    month = month_of(int(time.time() // 86400))
    words = ("export", "--state", state, "--month", month)
    assert "is not settled yet" in zos(*words, "--output", tmp_path / "months", is_good=False)
    assert "--output DIR" in zos(*words, is_good=False)
    early = ("export", "--state", state, "--month", "2020-01", "--output", tmp_path / "months")
    assert zos(*early) == "0\n"  # the node came later


def test_a_registry_that_cannot_be(tmp_path: Path, state: Path) -> None:
    assert "there is a registry in" in zos("init", state, is_good=False)
    assert "there is no registry" in zos("serve", tmp_path / "other", is_good=False)
    assert "there is no registry" in zos("check", "--state", tmp_path / "other", is_good=False)
    assert "'state' is missing" in zos("check", is_good=False)
    (state / "registry.key").write_text("x")
    assert "is no Ed25519 key" in zos("check", "--state", state, is_good=False)
    refused = zos("farm", "show", "http://127.0.0.1:1", "1", is_good=False)
    assert "cannot ask the registry" in refused


def test_tokens(state: Path) -> None:
    text = zos("token", "--state", state, "--create", "alice").strip()
    (shown,) = json.loads(zos("token", "--state", state, "--list"))
    assert (shown["name"], shown["state"], shown["id"]) == ("alice", "valid", text.split("_")[1])
    zos("token", "--state", state, "--revoke", shown["id"])
    assert json.loads(zos("token", "--state", state, "--list"))[0]["state"] == "revoked"
    assert "no token" in zos("token", "--state", state, "--revoke", "x", is_good=False)


def test_what_was_answered_survives_a_kill(tmp_path: Path, state: Path) -> None:
    key = tmp_path / "farm.key"
    zos("farm", "key", key)
    accepted = 0
    for _ in range(2):
        with serving(state) as server:
            if not accepted:
                zos("farm", "register", server.url, "--key", key, "--name", "one")
            nodes = [Node(Client([server]), time.time) for _ in range(5)]
            accepted += sum(node.register()[0] == 200 for node in nodes)
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(60)
    assert accepted == 10
    assert f"{1 + accepted} entries" in zos("check", "--state", state)


def test_several_workers_write_one_log(tmp_path: Path, state: Path) -> None:
    key = tmp_path / "farm.key"
    zos("farm", "key", key)
    with serving(state, "--workers", "2") as server:
        zos("farm", "register", server.url, "--key", key, "--name", "one")
        nodes = [Node(Client([server]), time.time) for _ in range(10)]
        for node in nodes:
            assert node.register()[0] == 200
        for node in nodes:
            assert node.report()[0] == 200
        assert server.stop() == 0
    assert "21 entries" in zos("check", "--state", state)
