"""The daemon `api`: serves the node's API on TCP port 7443, and tells others how it is."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from common.ipc.errors import IpcError
from common.ipc.server import Method
from core.api.audit import Audit
from core.api.calls import Calls
from core.api.farm import NoKeyError, find_farm_key
from core.api.node import COMMAND_LINE, Node
from core.api.parameters import Parameters, parse_parameters
from core.api.places import IN_ALL
from core.api.server import Server, open_listener
from core.api.tls import RENEW_S, load_leaf, make_context
from core.certificates.farmkey import show_public
from core.daemon import Stop, Work, run_daemon, tell
from core.places import API, API_PORT, RUN
from core.sandbox.profile import FEW_CONNECTIONS, INTERNET, LOCAL, Profile

NAME = "api"
PROFILE = Profile(NAME, API, families=LOCAL | INTERNET, connections_max=FEW_CONNECTIONS)
FOLDER = RUN / NAME
RETRY_S, RETRY_MAX_S = 30.0, 1800.0
AGAIN_S = 6 * 3600.0  # the owner of a farm may change
T = TypeVar("T")


def main() -> NoReturn:
    """Serve until SIGTERM."""
    run_daemon(PROFILE, begin)


def begin(
    folder: Path = FOLDER, command_line: Path = COMMAND_LINE, port: int = API_PORT, **places: Path
) -> Work:
    """Listen, and get the node's certificate. Raises `CoreError`, `IpcError`."""
    parameters = parse_parameters(command_line.read_text(errors="replace"))
    audit = Audit(folder / "audit")
    audit.open()
    api = Api(parameters, folder)
    node = Node(audit, api.about, command_line=command_line, **places)
    api.prepare(node, port)
    return Work({"status": Method(lambda _: api.about())}, api.run)


class Api:
    """The server, the farm's key, and the node's certificate."""

    def __init__(self, parameters: Parameters, folder: Path) -> None:
        self._parameters = parameters
        self._folder = folder
        self._executor = ThreadPoolExecutor(IN_ALL)
        self._problem, self._since = "", time.time()

    def prepare(self, node: Node, port: int) -> None:
        """Listen on the port, with the node's certificate."""
        self._node = node
        self._calls = Calls(node, self._parameters.farm, self._executor)
        self._context = make_context(node, self._folder, None)
        self._listener = open_listener(port)
        self._port = self._listener.getsockname()[1]

    def about(self) -> dict[str, Any]:
        """Return how the API is: the port, the farm's key, and why nobody can call, if so."""
        key = self._calls.farm_key
        return {
            "port": self._port,
            "farm": self._parameters.farm,
            "farm_key": show_public(key) if key else None,
            "problem": self._problem,
            "since": self._since,
        }

    def run(self, stop: Stop) -> None:
        """Serve until the daemon is to end."""
        asyncio.run(self._run(stop))

    async def _run(self, stop: Stop) -> None:
        loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(stop.fileno(), stopped.set)
        server = Server(self._listener, self._calls, lambda: self._context)
        works = (server.serve(), self._follow_key(), self._renew(), stopped.wait())
        tasks = [asyncio.ensure_future(work) for work in works]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in done:
            task.result()

    async def _follow_key(self) -> None:
        """Learn the farm's key; from a registry, now and then again."""
        wait_s = RETRY_S
        while True:
            try:
                key = await self._beside(lambda: find_farm_key(self._parameters))
                await self._take_key(key)
                wait_s = AGAIN_S
            except (NoKeyError, IpcError) as error:
                if self._calls.farm_key is None:
                    self._tell(f"nobody can call the node's API: {error}")
                is_final = isinstance(error, NoKeyError) and error.is_final
                wait_s = AGAIN_S if is_final else min(2 * wait_s, RETRY_MAX_S)
            await asyncio.sleep(wait_s)

    async def _take_key(self, key: bytes) -> None:
        if key == self._calls.farm_key:
            return
        context = await self._beside(lambda: make_context(self._node, self._folder, key))
        self._calls.farm_key, self._context = key, context
        self._tell("")
        tell(NAME, f"callers need certificates by the key {show_public(key)}")

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem, self._since = problem, time.time()
            if problem:
                tell(NAME, problem)

    async def _renew(self) -> None:
        """Give the server a new certificate long before the old one ends."""
        wait_s = RENEW_S
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._beside(lambda: load_leaf(self._context, self._node, self._folder))
                wait_s = RENEW_S
            except IpcError as error:
                tell(NAME, f"cannot renew the node's certificate: {error}")
                wait_s = RETRY_MAX_S

    async def _beside(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)
