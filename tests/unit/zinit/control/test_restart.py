"""A restart is decided in the daemon; its reply is deferred until the old process has ended."""

import json
from typing import Any

import pytest

from tests.helpers.zinit.fake_system import World
from zinit.control.api import Api
from zinit.control.deferred import LOOK_S, Deferred, restart
from zinit.control.jsonrpc import RpcSession
from zinit.control.line import LineSession
from zinit.files.folder import Folder
from zinit.life.manager import POWEROFF, Manager
from zinit.life.unit import CommandError
from zinit.log.ring import Ring

STUBBORN = "exec: run\nstop_timeout: 25\nrestart: {delay: 0.5}"


def make_api(world: World) -> Api:
    return Api(world.manager, Ring(), Folder("/nowhere", world.system.report))


def advance_until_due(world: World, reply: Deferred, limit_s: float) -> float:
    """Advance the clock until the reply is due; return how long that took."""
    begun = world.system.time
    while not reply.is_due(world.system.now()):
        world.advance(LOOK_S)
        assert world.system.time - begun < limit_s, "the reply is never due"
    return world.system.time - begun


def restart_stubborn(world: World) -> Deferred:
    """Boot, and restart a service `a` that ignores SIGTERM."""
    world.system.obeys = False
    world.boot()
    world.advance(100)
    world.happened()
    reply = restart(make_api(world), "a")
    assert isinstance(reply, Deferred)
    return reply


def test_sigkill_comes_at_the_services_own_stop_timeout() -> None:
    """A client cannot know it: 20 s, its limit before, would have been 5 s too early."""
    world = World(a=STUBBORN)
    reply = restart_stubborn(world)
    world.advance(24.9)
    assert not reply.is_due(world.system.now())
    assert world.happened() == ["signal a 15"]
    assert advance_until_due(world, reply, 1.0) < 0.3
    assert world.happened() == ["signal a 9", "end a"]
    world.advance(0.6)
    assert world.happened() == ["spawn a"]


def test_a_service_that_obeys_late_is_not_killed() -> None:
    world = World(a=STUBBORN)
    reply = restart_stubborn(world)
    world.advance(22)
    world.end("a")
    assert reply.is_due(world.system.now())
    world.advance(0.6)
    assert world.happened() == ["signal a 15", "end a", "spawn a"]


@pytest.mark.parametrize("obeys", [True, False])
@pytest.mark.parametrize("more", ["", "\noneshot: true", "\ntest: check", "\nready: notify"])
def test_any_service_is_restarted_once(more: str, obeys: bool) -> None:
    world = World(a=f"exec: run{more}", b="exec: run\nafter: [a]")
    world.system.obeys = obeys
    world.boot()
    world.advance(100)
    world.happened()
    world.do("restart", "a")
    world.advance(100)
    events = [event for event in world.happened() if event in ("spawn a", "end a")]
    assert events == ["end a", "spawn a"]
    assert world.manager.status("a")["target"] == "Up"


@pytest.mark.parametrize("state", ["down", "blocked", "paused", "stopping"])
def test_a_service_that_does_not_run_is_started(state: str) -> None:
    world = World(a="exec: run", b="exec: run\nafter: [a]")
    world.boot()
    world.advance(100)
    if state == "blocked":
        world.do("stop", "a")
        world.do("restart", "b")
        world.do("start", "a")
    elif state == "paused":
        world.end("b", 256)
    elif state == "stopping":
        world.system.obeys = False
        world.do("stop", "b")
    else:
        world.do("stop", "b")
    world.happened()
    if state != "blocked":
        world.do("restart", "b")
    world.advance(100)
    assert world.happened().count("spawn b") == 1
    assert world.state("b") == "Running"


def test_a_restart_forgets_earlier_failures() -> None:
    """As a stop and a start do: the user may have fixed the reason."""
    world = World(a="exec: run\nrestart: {delay: 0.1, limit: 2, window: 1000}")
    world.boot()
    for _ in range(2):
        world.end("a", 256)
        world.advance(3)
    world.do("restart", "a")
    world.advance(3)
    for _ in range(2):
        world.end("a", 256)
        world.advance(3)
    assert world.state("a") == "Running"
    world.end("a", 256)
    assert world.state("a").startswith("Crashed(")


def test_a_restart_goes_on_in_the_program_after_a_reexec() -> None:
    world = World(a=STUBBORN)
    restart_stubborn(world)
    state = json.loads(json.dumps(world.manager.dump()))
    world.manager = Manager(world.system, world.load)
    world.manager.restore(state)
    world.advance(30)
    assert world.happened() == ["signal a 15", "signal a 9", "end a", "spawn a"]


def refused(world: World, reply: Deferred) -> str:
    with pytest.raises(CommandError) as caught:
        reply.is_due(world.system.now())
    return caught.value.kind


def test_the_reply_says_why_there_was_no_restart() -> None:
    world = World(a=STUBBORN)
    reply = restart_stubborn(world)
    world.do("stop", "a")
    assert refused(world, reply) == "stopped"
    world.manager.shut_down(POWEROFF)
    assert refused(world, reply) == "shutdown"
    with pytest.raises(CommandError, match="zinit is shutting down"):
        restart(make_api(world), "a")


def test_the_reply_says_that_the_process_cannot_be_killed() -> None:
    world = World(a=STUBBORN)
    reply = restart_stubborn(world)
    world.system.kill_group = lambda pid, number: None  # type: ignore[method-assign]
    world.advance(25.1)
    assert not reply.is_due(world.system.now()), "SIGKILL gets a moment"
    world.advance(2.1)
    assert refused(world, reply) == "stuck"


def test_the_reply_says_that_the_service_cannot_be_started() -> None:
    world = World(a="exec: run")
    world.boot()
    world.advance(100)
    world.do("stop", "a")
    world.advance(100)
    world.system.refuse["a"] = FileNotFoundError(2, "No such file")
    with pytest.raises(CommandError, match="cannot be started"):
        restart(make_api(world), "a")
    with pytest.raises(CommandError, match="unknown"):
        restart(make_api(world), "b")


def ask(session: RpcSession, text: str) -> Any:
    session.feed(text.encode())
    said = session.pull()
    return json.loads(said) if said else None


REQUEST = '{"jsonrpc":"2.0","id":%d,"method":"%s","params":["%s"]}'


def test_json_rpc_defers_the_reply_and_answers_others() -> None:
    world = World(a=STUBBORN, b="exec: run")
    world.system.obeys = False
    world.boot()
    world.advance(100)
    session = RpcSession(make_api(world))
    assert ask(session, REQUEST % (1, "service_restart", "a")) is None
    assert ask(session, REQUEST % (2, "service_status", "b"))["id"] == 2
    assert session.is_waiting
    world.advance(25.1)
    assert json.loads(session.pull()) == {"jsonrpc": "2.0", "id": 1, "result": None}
    assert not session.is_waiting
    assert session.next_time() is None
    error = ask(session, REQUEST % (3, "service_restart", "nobody"))["error"]
    assert error["message"] == "restarting service: service 'nobody' not found"


def test_json_rpc_sends_a_deferred_error() -> None:
    world = World(a=STUBBORN)
    world.system.obeys = False
    world.boot()
    world.advance(100)
    session = RpcSession(make_api(world))
    batch = f"[{REQUEST % (1, 'service_restart', 'a')},{REQUEST % (2, 'service_status', 'a')}]"
    assert ask(session, batch) is None
    session.pull()
    world.do("stop", "a")
    world.advance(1)
    status, error = json.loads(session.pull())
    assert (status["id"], error["id"]) == (2, 1)
    assert error["error"]["data"]["code_name"] == "ServiceStopped"


def test_the_line_protocol_defers_the_reply() -> None:
    world = World(a=STUBBORN)
    world.system.obeys = False
    world.boot()
    world.advance(100)
    session = LineSession(make_api(world))
    assert session.feed(b"restart a\n") == b""
    assert session.feed(b"") == b"", "a client that has closed its side still waits"
    assert not session.is_over
    assert session.pull() == b""
    world.advance(25.1)
    assert session.pull() == b'{"state":"ok","body":null}'
    assert session.is_over


def test_the_line_protocol_sends_a_deferred_error() -> None:
    world = World(a=STUBBORN)
    world.system.obeys = False
    world.boot()
    world.advance(100)
    session = LineSession(make_api(world))
    assert session.feed(b"restart a\n") == b""
    world.do("stop", "a")
    world.advance(1)
    assert session.pull() == (
        b'{"state":"error","body":"service \\"a\\" was stopped during its restart"}'
    )
    assert session.is_over
