"""The daemon `report`: tells the registry of this node."""

import time
from pathlib import Path
from typing import Any, NoReturn

from common.bootwords import read_words
from common.ipc.client import stream
from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer
from core.daemon import Stop, Work, run_daemon, start_thread, tell
from core.errors import CoreError
from core.places import REPORT, socket_of
from core.report.bodies import problem
from core.report.parameters import NoRegistryError, parse_parameters
from core.report.registry import Registry
from core.report.reporter import LAST_WORD_S, Reporter
from core.report.sources import Sources
from core.sandbox.profile import INTERNET, LOCAL, Profile

NAME = "report"
PROFILE = Profile(NAME, REPORT, families=LOCAL | INTERNET)
COMMAND_LINE = Path("/proc/cmdline")
NEWS_S = 660.0  # capacity says something at least every 600
AGAIN_S = 30.0


def begin() -> Work:
    """Begin to report, or say why the node can't."""
    try:
        parameters = parse_parameters(read_words(COMMAND_LINE.read_text(errors="replace")).chosen())
    except CoreError as error:
        return idle(error)
    registry = Registry(parameters.registry, parameters.proxy)
    reporter = Reporter(parameters, registry, Sources(), lambda text: tell(NAME, text))
    start_thread(reporter.run)
    start_thread(lambda: follow(reporter))

    def loop(stop: Stop) -> None:
        stop.wait()
        reporter.say_goodbye()

    methods = {"status": Method(lambda _: reporter.to_json())}
    return Work(methods, loop, LAST_WORD_S + 1)


def idle(error: CoreError) -> Work:
    """Answer `status` only. It is no problem of the node if it is to report to nobody."""
    tell(NAME, error.message)
    why = f"{error.message} ({error.hint})" if error.hint else error.message
    is_meant = isinstance(error, NoRegistryError)
    answer = {
        "registry": None,
        "registered": False,
        "last_sent": None,
        "next": None,
        "why": why,
        "problems": [] if is_meant else [problem("registry", why, time.time())],
    }

    def status(_: Peer) -> dict[str, Any]:
        return answer

    return Work({"status": Method(status)})


def follow(reporter: Reporter) -> NoReturn:
    """Let the reporter know of every change of the facts; for a thread of its own."""
    while True:
        try:
            for item in stream(socket_of("capacity"), "changes", NEWS_S):
                reporter.notice(str(item.get("digest", "")))
        except IpcError:
            pass  # the daemon is starting again
        time.sleep(AGAIN_S)


def main() -> NoReturn:
    """Run the daemon."""
    run_daemon(PROFILE, begin)
