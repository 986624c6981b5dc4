"""`zos node`: which node is meant, what is remembered, what is shown."""

import json
from pathlib import Path

import pytest

from common.errors import UsageError
from common.nodes.nodeid import node_id
from core.remote import cli, find, show
from core.remote.client import Target
from core.remote.errors import RemoteError
from core.remote.find import find_node
from core.remote.known import Known, join_address, split_address
from tests.helpers.core.updates import look_answer, update_row
from zero_os import node

NODE, OTHER = node_id(bytes(range(32))), node_id(bytes(range(1, 33)))
PLACE = "10.0.0.1:7443"


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return Known(tmp_path / "zero-os" / "nodes.json")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("10.0.0.1", ("10.0.0.1", 7443)),
        ("node.example:99", ("node.example", 99)),
        ("fe80::1", ("fe80::1", 7443)),
        ("[fe80::1]:99", ("fe80::1", 99)),
        ("[fe80::1]", ("fe80::1", 7443)),
    ],
)
def test_addresses(text: str, place: tuple[str, int]) -> None:
    assert split_address(text) == place
    assert split_address(join_address(*place)) == place


@pytest.mark.parametrize("text", ["", ":1", "a:0", "a:65536", "a:x", "[::1]x", "a:-1"])
def test_wrong_addresses(text: str) -> None:
    with pytest.raises(RemoteError):
        split_address(text)


def test_an_address_must_be_known_or_trusted(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "learn_node", lambda host, port: NODE)
    with pytest.raises(RemoteError, match="is not known"):
        find_node("10.0.0.1", known, trust_first=False)
    assert not known.path.exists()
    target = Target(NODE, "10.0.0.1", 7443)
    assert find_node("10.0.0.1", known, trust_first=True) == target
    assert known.path.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(find, "learn_node", lambda host, port: OTHER)
    assert find_node("10.0.0.1", known, trust_first=True) == target  # the first one stays
    with pytest.raises(RemoteError, match=f"there was the node {NODE}"):
        find_node(f"{OTHER}@10.0.0.1", known, trust_first=True)


def test_an_id_is_looked_for_and_else_remembered(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "discover", lambda node: [])
    with pytest.raises(RemoteError, match="cannot find"):
        find_node(NODE, known, trust_first=False)
    known.remember(PLACE, NODE)
    assert find_node(NODE, known, trust_first=False) == Target(NODE, "10.0.0.1", 7443)


@pytest.mark.parametrize("text", ["{", "[]", '{"10.0.0.1:7443": "x"}', '{"a": 1}'])
def test_a_file_that_is_not_ours_is_left_alone(known: Known, text: str) -> None:
    known.path.parent.mkdir()
    known.path.write_text(text)
    with pytest.raises(RemoteError, match="no list of nodes"):
        known.remember(PLACE, NODE)
    assert known.path.read_text() == text


def test_certificates_are_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, output = tmp_path / "farm.pem", tmp_path / "new" / "node.pem"
    assert cli.main(["key", str(key)], "zos node") == 0
    word = capsys.readouterr().out
    assert cli.main(["key", str(key)], "zos node") == 0
    assert capsys.readouterr().out == word and len(word) == 44
    options = ["--farm-key", str(key), "--farm", "7", "--role", "reader", "--name", "anna"]
    assert cli.main(["certificate", *options, "-o", str(output)], "zos node") == 0
    assert "zos:farm/7/role/reader/anna" in capsys.readouterr().err
    assert {path.stat().st_mode & 0o777 for path in (key, output)} == {0o600}


def test_a_call_needs_a_node() -> None:
    with pytest.raises(UsageError, match="which node"):
        cli.main(["status"], "zos node")


def test_the_services_of_a_node_are_still_started_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="does not run Zero-OS"):
        node.main(["network"], "zos node")
    monkeypatch.setattr(node, "CLIENT", "core.nothing.cli")
    with pytest.raises(UsageError, match="this is a node"):
        node.main(["status"], "zos node")


def test_what_a_node_says_can_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b[2J\nb"
    show.services([{"name": evil, "state": evil, "pid": 1, "role": None, "uptime_s": 90061}])
    show.log_line({"name": evil, "text": evil, "time": 1})
    show.audit_line({"n": 1, "caller": evil, "path": evil})
    show.status({"problems": [{"code": evil, "text": evil}], "hubs": [{"url": evil}]})
    said = capsys.readouterr().out
    assert "\x1b" not in said and "1 d 01:01" in said
    assert json.dumps(evil)[1:-1].replace("\\u001b", "\\x1b") in said


def test_an_update_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show.update(look_answer(before="0.0.9", bad="0.2.0", reason="redis ended"))
    said = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines())
    assert {name: value.strip() for name, value in said.items()} == {
        "running": "0.1.0",
        "before": "0.0.9",
        "update": "idle",
        "reason": "redis ended",
        "given up": "0.2.0",
        "channel": "0.2.0",
        "published": "2023-11-14 22:13:20",
        "this farm's turn": "2023-11-14 23:13:20",
        "kernel changes": "yes",
    }


def test_a_status_says_how_far_an_update_is(capsys: pytest.CaptureFixture[str]) -> None:
    show.status({"update": update_row(state="rolling-back", target="0.2.0", reason="redis ended")})
    said = capsys.readouterr().out
    assert "rolling-back to 0.2.0" in said and "redis ended" in said
