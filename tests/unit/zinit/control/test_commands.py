"""The table of commands, and what both protocols, OpenRPC and the client derive from it."""

import json
import re
from typing import Any

from tests.helpers.zinit.fake_system import World
from zinit.client.cli import COMMANDS as SUBCOMMANDS
from zinit.control.api import Api
from zinit.control.commands import COMMANDS, LINES, METHODS, find_line
from zinit.control.jsonrpc import RpcSession
from zinit.control.line import LineSession
from zinit.files.folder import Folder
from zinit.log.ring import Ring

NEEDING_A_SERVICE = [command for command in COMMANDS if "name" in command.parameters]


def make_api() -> Api:
    world = World()
    return Api(world.manager, Ring(), Folder("/nowhere", world.system.report))


def test_every_row_is_reached_by_one_name_and_described() -> None:
    assert len(METHODS) == sum(1 for command in COMMANDS if command.method)
    assert len(LINES) == sum(1 for command in COMMANDS if command.line)
    for command in COMMANDS:
        assert command.method or command.line
        assert re.fullmatch(r"[a-z].*[^.]", command.description), command.description
        assert command.action or not command.method


def test_a_line_finds_its_command_by_words_and_arguments() -> None:
    assert find_line(["wat"]) is find_line(["status"]) is find_line(["start", "x", "y"]) is None
    for words, method, count in (
        (["list"], "service_list", 0),
        (["list", "x"], "service_list", 0),
        (["reboot", "x", "y"], "system_reboot", 0),
        (["reload"], "system_reload", 0),
        (["reload", "a"], "service_reload", 1),
        (["kill", "a", "SIGHUP"], "service_kill", 2),
    ):
        found = find_line(words)
        assert found is not None
        command, args = found
        assert (command.method, len(args)) == (method, count)
    follow, snapshot = find_line(["log"]), find_line(["log", "snapshot"])
    assert follow is not None
    assert snapshot is not None
    assert follow[0].line == ("log",)
    assert snapshot[0].line == ("log", "snapshot")


def ask(text: str) -> Any:
    session = RpcSession(make_api())
    session.feed(text.encode())
    return json.loads(session.pull())


def test_openrpc_describes_every_method() -> None:
    document = json.loads(ask('{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}')["result"])
    methods = {method["name"]: method for method in document["methods"]}
    assert list(methods) == list(METHODS)
    create = methods["service_create"]["params"]
    assert [(one["name"], one["schema"]["type"]) for one in create] == [
        ("name", "string"),
        ("content", "object"),
    ]
    assert methods["stream_currentLogs"]["params"][0]["required"] is False


def test_unknown_services_are_refused_in_both_protocols() -> None:
    """Every command with a service's name takes an unknown one without an internal error."""
    values = {"name": "nobody", "signal": "SIGHUP", "content": {}}
    for command in NEEDING_A_SERVICE:
        params = [values[word] for word in command.parameters]
        if command.method:
            request = {"jsonrpc": "2.0", "id": 1, "method": command.method, "params": params}
            error = ask(json.dumps(request))["error"]
            action = command.action + " file" * (command.method == "service_create")
            assert error["message"].startswith(f"{action}: "), command.method
            assert error["data"]["service"] == "nobody"
        if command.line:
            words = [*command.line, *map(str, params)]
            reply = LineSession(make_api()).feed(" ".join(words).encode() + b"\n")
            assert json.loads(reply)["state"] == "error"


def test_the_client_has_every_command_of_the_line_protocol() -> None:
    for command in COMMANDS:
        if command.line:
            subcommand = SUBCOMMANDS[command.line[0]]
            assert len(command.parameters) <= len(subcommand.arguments)
