"""Replaces the running program by itself without losing a service or a line of its log.

The state of all parts goes into a memory file. Its descriptor survives exec, like the pipes of
services and the listening sockets; children stay children. The new program finds the descriptor's
number in `ZINIT_STATE`. `zinit reexec` works this way, and so does recovery from a crash.
"""

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from zinit.control.api import Api
    from zinit.control.server import Server
    from zinit.life.manager import Manager
    from zinit.log.outputs import Outputs
    from zinit.log.ring import Ring
    from zinit.process.handover import HandOver
    from zinit.process.system import RealSystem

    class Program(Protocol):
        """The parts whose state is carried over, and the program's own `dump` and `restore`."""

        ring: Ring
        manager: Manager
        api: Api
        server: Server
        outputs: Outputs
        system: RealSystem

        def dump(self) -> "dict[str, object]":
            """Return the state that belongs to no part."""
            ...

        def restore(self, state: "dict[str, Any]") -> None:
            """Take what `dump` returned."""
            ...


FORMAT = 2
VARIABLE = "ZINIT_STATE"
MISSING = 255 << 8  # the wait status of a child whose real status was lost


def dump(program: "Program", hand_over: "HandOver") -> "dict[str, object]":
    """Return the state of all parts; descriptors in it are passed to `hand_over`."""
    return {
        "format": FORMAT,
        "program": program.dump(),
        "ring": program.ring.dump(),
        "api": program.api.dump(),
        "manager": program.manager.dump(),
        "server": program.server.dump(hand_over),
        "outputs": program.outputs.dump(hand_over),
        "system": program.system.dump(hand_over),
    }


def restore(program: "Program", state: "dict[str, Any]") -> None:
    """Fill the parts of a new program with the state that `dump` returned."""
    manager = program.manager
    program.restore(state["program"])
    program.ring.restore(state["ring"])
    program.api.restore(state["api"])
    manager.restore(state["manager"])
    program.server.restore(state["server"])
    services = {name: unit.record.service for name, unit in manager.units.items()}
    program.outputs.restore(state["outputs"], services.get)
    names = {pid: unit.name for pid, (unit, _) in manager.launcher.pids.items()}
    program.system.restore(state["system"], names)
    find_lost_children(manager, program.system)


def replace_program(program: "Program", folder: str) -> None:
    """Execute this program again in `folder`; returns only by raising OSError.

    Its arguments may hold paths that are relative to `folder`.
    """
    fds: list[int] = []

    def hand_over(fd: int) -> int:
        fds.append(fd)
        return fd

    state = dump(program, hand_over)
    memory = os.memfd_create("zinit-state", 0)
    with os.fdopen(os.dup(memory), "wb") as stream:
        stream.write(json.dumps(state).encode())
    for fd in fds:
        os.set_inheritable(fd, True)
    executable = os.readlink("/proc/self/exe").removesuffix(" (deleted)")
    environment = {**os.environ, VARIABLE: str(memory)}
    try:
        if os.path.isdir(folder):  # if it is gone, the arguments may still be absolute
            os.chdir(folder)
        os.execve(executable, sys.orig_argv, environment)
    finally:
        os.chdir("/")
        os.close(memory)
        for fd in fds:
            os.set_inheritable(fd, False)


def take_state(socket: str) -> "dict[str, Any] | None":
    """Return the state that the previous program left, or None.

    A state of format 1 does not name the control socket, whose path is `socket`.
    """
    word = os.environ.pop(VARIABLE, "")
    if not word.isdecimal():
        return None
    try:
        with os.fdopen(int(word), "rb") as stream:
            stream.seek(0)
            state = json.loads(stream.read())
    except (OSError, ValueError):
        return None
    if isinstance(state, dict) and state.get("format") == 1:
        from zinit.control.reexec_format1 import upgrade

        return upgrade(state, socket)
    return state if isinstance(state, dict) and state.get("format") == FORMAT else None


def find_lost_children(manager: "Manager", system: "RealSystem") -> None:
    """Adopt running children; report the exit of those that were already reaped.

    A crash can come between reaping a child and handling its exit.
    """
    for pid in list(manager.launcher.pids):
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            manager.on_exit(pid, MISSING)
        else:
            system.adopt(pid)
    for unit in list(manager.units.values()):
        pid = unit.record.pid
        if pid and pid not in manager.launcher.pids and unit.record.ended < 0:
            manager.lose_process(unit, MISSING)
