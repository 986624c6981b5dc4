"""The table of nodes in each kind of database, the commands, and several server processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import urllib3
from sqlalchemy import func, select, update

from bootstrap_server.errors import ConflictError, InputError
from bootstrap_server.nodes import table as table_module
from bootstrap_server.nodes.identity import Identity, parse_identity
from bootstrap_server.nodes.sheet import import_sheet
from bootstrap_server.nodes.table import NodeTable
from bootstrap_server.options.model import Options
from bootstrap_server.state.opening import SCOPES, open_state
from bootstrap_server.state.tables import HISTORY, NODES
from serving.database import Database
from serving.tokens import Tokens
from tests.helpers.needs import need_tool
from tests.helpers.serving.process import Running, running

START_S = 600  # the first template on a machine fetches packages
COMMAND_S = 120
MAC = "52:54:00:12:34:56"
OPTIONS = Options("dev", 4711)


def card(number: int) -> Identity:
    """Return a machine known by its MAC address."""
    return parse_identity(f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}")


@pytest.fixture
def table(database: Database) -> NodeTable:
    return NodeTable(database)


def events(table: NodeTable, node: int) -> list[str]:
    """Return what happened to a node, the first first."""
    return [event.event for event in reversed(table.history(node))]


def test_a_node_is_claimed_given_and_forgotten(table: NodeTable) -> None:
    identity = parse_identity(MAC, serial="s1")
    assert table.provide(parse_identity(MAC), None) is None
    assert table.provide(identity, None) is None
    (node,) = table.list_all()
    assert node.identity == identity, "what the node says later is added"
    table.claim(parse_identity(serial="S1"), OPTIONS, "me")
    assert table.provide(parse_identity(MAC), None) == OPTIONS
    with pytest.raises(ConflictError):
        table.claim(identity, OPTIONS, "me")
    table.remove(identity, "me")
    assert table.list_all() == []
    assert events(table, node.id) == ["waiting", "claimed", "given", "deleted"]


def test_a_machine_that_asks_twice_at_once_waits_once(table: NodeTable) -> None:
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: table.provide(card(1), None), range(16)))
    assert given == [None] * 16
    assert len(table.list_all()) == 1


def test_only_one_of_those_who_claim_at_once_gets_it(table: NodeTable) -> None:
    table.provide(card(1), None)

    def claim(number: int) -> bool:
        try:
            table.claim(card(1), Options("dev", number), f"farmer {number}")
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(claim, range(1, 9)))
    assert won.count(True) == 1
    (node,) = table.list_all()
    assert node.options == Options("dev", won.index(True) + 1)


def test_the_list_of_those_who_wait_is_bounded(
    table: NodeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_module, "KEPT_WAITING", 5)
    table.put(card(99), OPTIONS, "me")
    for number in range(8):
        table.provide(card(number), None)
    waiting = [node.identity for node in table.list_all() if node.options is None]
    assert waiting == [card(number) for number in range(3, 8)]
    assert table.find(card(99)) is not None
    with table.database.reading() as connection:
        kept = connection.execute(select(func.count()).select_from(HISTORY)).scalar_one()
    assert kept == 5 + 1, "the history of those who were dropped goes with them"


def test_a_history_is_bounded(table: NodeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "KEPT_EVENTS", 5)
    table.put(card(1), OPTIONS, "me")
    for _ in range(9):
        table.provide(card(1), None)
    assert events(table, table.get(card(1)).id) == ["given"] * 5


def test_names_of_two_rows_are_never_joined(table: NodeTable) -> None:
    table.put(card(1), OPTIONS, "me")
    table.put(parse_identity(serial="s1"), OPTIONS, "me")
    both = parse_identity(card(1).mac, serial="s1")
    for change in (
        lambda: table.put(both, OPTIONS, "me"),
        lambda: table.provide(both, None),
        lambda: table.remove(both, "me"),
    ):
        with pytest.raises(ConflictError, match=f"mac {card(1).mac} and the node serial S1"):
            change()
    assert len(table.list_all()) == 2


def test_nobody_adds_names_to_a_node_that_has_its_options(table: NodeTable) -> None:
    table.put(card(1), OPTIONS, "me")
    false = parse_identity(card(1).mac, "11111111-2222-4333-8444-555555555555", "false")
    assert table.provide(false, None) == OPTIONS
    true = parse_identity(card(1).mac, "4c4c4544-0042-3510-8053-b4c04f4d3232", "true")
    assert table.provide(true, None) == OPTIONS, "an earlier request can't shut the machine out"
    assert table.get(card(1)).identity == card(1)
    assert table.history(table.get(card(1)).id)[1].names == str(false)


def test_an_import_with_one_conflict_changes_nothing(table: NodeTable) -> None:
    table.put(parse_identity(MAC, serial="s1"), OPTIONS, "me")
    sheet = f"mac,serial,runmode\n52:54:00:00:00:01,,qa\n{MAC},other,qa\n52:54:00:00:00:02,S1,qa"
    with pytest.raises(InputError) as caught:
        import_sheet(table, sheet.encode(), lambda _: None, "me")
    assert "line 3" in caught.value.message and "line 4" in caught.value.message
    (node,) = table.list_all()
    assert node.options == OPTIONS
    assert events(table, node.id) == ["created"]


def spoil(database: Database, identity: Identity, options: str) -> None:
    """Store options that this version refuses."""
    with database.writing() as connection:
        change = update(NODES).where(NODES.c.mac == identity.mac)
        connection.execute(change.values(options=options))


@pytest.mark.parametrize("stored", ['{"colour":"red","runmode":"dev"}', '{"runmode":"gone"}', "{"])
def test_a_row_of_another_version_does_not_break_the_others(table: NodeTable, stored: str) -> None:
    for number in (1, 2):
        table.put(card(number), OPTIONS, "me")
    spoil(table.database, card(1), stored)
    bad, good = table.list_all()
    assert (bad.identity, bad.options, bad.is_waiting) == (card(1), None, False)
    assert bad.fault
    assert good.options == OPTIONS
    with pytest.raises(InputError, match="cannot be read"):
        table.provide(card(1), None)
    with pytest.raises(ConflictError):
        table.claim(card(1), OPTIONS, "a farmer")
    assert not table.put(card(1), OPTIONS, "me")
    assert table.provide(card(1), None) == OPTIONS
    spoil(table.database, card(1), stored)
    table.remove(card(1), "me")
    assert table.list_all() == [good]


def test_servers_of_one_database_share_the_nodes(shared_url: str) -> None:
    here, there = (NodeTable(open_state(None, shared_url)) for _ in range(2))
    here.provide(card(1), None)
    there.claim(card(1), OPTIONS, "me")
    assert here.provide(card(1), None) == OPTIONS


def zos(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `zos bootstrap nodes`."""
    call = [sys.executable, "-m", "zero_os", "bootstrap", "nodes", *map(str, words)]
    return subprocess.run(call, capture_output=True, text=True, timeout=COMMAND_S)


def test_the_command_imports_lists_and_exports(tmp_path: Path) -> None:
    place = ("--state", tmp_path / "state")
    sheet = tmp_path / "nodes.csv"
    sheet.write_text(f"mac,runmode,farm\n{MAC},dev,4711\n")
    assert zos("import", sheet, *place).returncode == 0
    assert zos("list", *place).stdout == f"mac {MAC}: dev/4711\n"
    exported = zos("export", *place).stdout
    assert exported.splitlines()[1].startswith(f"{MAC},,,dev,4711,")
    sheet.write_text(exported + "x,,,dev" + "," * 12 + "\n")
    wrong = zos("import", sheet, *place)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert f"cannot use {sheet}: nothing was imported: line 3" in wrong.stderr
    os.mkfifo(tmp_path / "pipe")
    for endless in (tmp_path / "pipe", "/dev/zero"):
        assert "not a regular file" in zos("import", endless, *place).stderr
    spoil(open_state(tmp_path / "state", ""), parse_identity(MAC), '{"runmode":"gone"}')
    assert zos("list", *place).stdout.startswith(f"mac {MAC}: cannot be read: the run mode is")
    left = zos("export", *place)
    assert len(left.stdout.splitlines()) == 1
    assert f"left out: the options of the node mac {MAC} cannot be read" in left.stderr
    missing = zos("import", tmp_path / "none.csv", *place)
    assert missing.returncode == 1 and "none.csv" in missing.stderr


@pytest.fixture
def pair(tmp_path: Path, shared_url: str) -> Iterator[tuple[Running, Running]]:
    """Run two servers on one database."""
    need_tool("apt-get")
    (tmp_path / "releases").mkdir()
    key = tmp_path / "enrolment.key"
    make = [need_tool("openssl"), "genpkey", "-algorithm", "ed25519", "-out", str(key)]
    subprocess.run(make, check=True, capture_output=True, timeout=COMMAND_S)
    call = [sys.executable, "-m", "zero_os", "bootstrap", "serve", "--listen", "127.0.0.1:0"]
    call += ["--releases", str(tmp_path / "releases"), "--hub", "http://hub.example"]
    call += ["--enrol-key", str(key), "--url", "http://boot.example"]
    environment = {"ZOS_BOOTSTRAP_DATABASE": shared_url}
    with ExitStack() as stack:
        logs = (tmp_path / "one.log", tmp_path / "two.log")
        yield tuple(  # type: ignore[misc]
            stack.enter_context(running(call, log, None, START_S, None, **environment))
            for log in logs
        )


@pytest.mark.timeout(900)
def test_who_follows_a_farm_at_one_server_sees_what_the_other_is_told(
    pair: tuple[Running, Running],
) -> None:
    one, two = pair
    with urllib3.PoolManager(retries=False, timeout=COMMAND_S) as pool:
        stream = pool.request("GET", f"{one.url}/api/farms/4711/events", preload_content=False)
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = (line for part in stream for line in part.decode().splitlines() if line)
        assert next(lines) == "retry: 3000"
        assert two.ask(f"/boot/script?mac={MAC}&farm=4711&mode=dev").status == 200
        event = next(lines)
        assert event.startswith("data: ")
        assert json.loads(event[6:])["stages"][0]["stage"] == "script"
        assert one.stop() == 0, "a stop ends those who follow"
        assert list(lines) == []


@pytest.mark.timeout(900)
def test_server_processes_share_tokens_nodes_and_log(
    pair: tuple[Running, Running], shared_url: str
) -> None:
    one, two = pair
    tokens = Tokens(open_state(None, shared_url), SCOPES)
    token = tokens.create("me", ["nodes", "read"])
    bearer = f"Bearer {token}"
    assert b"ZB51" in one.ask(f"/provision/{MAC}").data
    body = json.dumps({"runmode": "dev", "farm": 4711}).encode()
    assert two.ask(f"/api/nodes/{MAC}/claim", "POST", body, Authorization=bearer).status == 200
    script = one.ask(f"/provision/{MAC}").data.decode()
    enrol = script.partition(" enrol=")[2].partition(" ")[0]
    assert one.ask(f"/boot/script?mac={MAC}&farm=4711&mode=dev").status == 200
    report = json.dumps({"mac": MAC, "farm": 4711, "enrol": enrol}).encode()
    assert two.ask("/boot/linux", "POST", report, Content_Type="application/json").status == 204
    (node,) = one.ask("/api/farms/4711/nodes").json()["nodes"]
    assert [step["stage"] for step in node["stages"]] == ["script", "linux"]
    assert node["is_enrolled"]
    tokens.revoke(token.split("_")[1])
    assert {server.ask("/api/nodes", Authorization=bearer).status for server in pair} == {401}
