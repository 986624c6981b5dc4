"""Replaces the running program by itself without losing a service or a line of its log.

The state of all parts goes into a memory file. Its descriptor survives exec, like the pipes of
services and the listening sockets; children stay children. The new program finds the descriptor's
number in `ZINIT_STATE`. `zinit reexec` works this way, and so does recovery from a crash. Before
that `trial` tests the new program; if it cannot read the state all the same, `rescue` keeps the
machine up.
"""

import json
import os
import sys

from zinit.control.rescue import VARIABLE as TABLE_VARIABLE
from zinit.control.rescue import Table, rescue, write_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zinit.control.rescue import Program
    from zinit.life.manager import Manager
    from zinit.process.handover import HandOver
    from zinit.process.system import RealSystem


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


def restore(program: "Program", state: "dict[str, Any]", table: Table, socket: str) -> None:
    """Fill the parts of a new program with the state that `dump` returned.

    A part that fails is reported, and what `table` has of it is taken over instead. An empty state
    is one that could not be read; `socket` is the path of the control socket.
    """
    manager, report = program.manager, program.system.report
    if not state:
        report("cannot read the state of the previous program; its services keep running")

    def restore_outputs(entry: "dict[str, Any]") -> None:
        services = {name: unit.record.service for name, unit in manager.units.items()}
        program.outputs.restore(entry, services.get)

    def restore_system(entry: "dict[str, Any]") -> None:
        names = {pid: unit.name for pid, (unit, _) in manager.launcher.pids.items()}
        program.system.restore(entry, names)

    parts: dict[str, Callable[[dict[str, Any]], None]] = {
        "program": program.restore,
        "ring": program.ring.restore,
        "api": program.api.restore,
        "manager": manager.restore,
        "server": program.server.restore,
        "outputs": restore_outputs,
        "system": restore_system,
    }
    for part, take in parts.items() if state else ():
        try:
            take(state[part])
        except Exception as error:
            report(f"cannot restore the state of the {part}: {type(error).__name__}: {error}")
    rescue(program, table, socket, is_lost=not state)
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
    memory = write_memory("zinit-state", json.dumps(state).encode())
    lines = write_memory("zinit-table", write_table(state, fds))
    for fd in (*fds, memory, lines):
        os.set_inheritable(fd, True)
    executable = find_executable()
    environment = {**os.environ, VARIABLE: str(memory), TABLE_VARIABLE: str(lines)}
    try:
        if os.path.isdir(folder):  # if it is gone, the arguments may still be absolute
            os.chdir(folder)
        os.execve(executable, sys.orig_argv, environment)
    finally:
        os.chdir("/")
        os.close(memory)
        os.close(lines)
        for fd in fds:
            os.set_inheritable(fd, False)


def find_executable() -> str:
    """Return the path of the interpreter, which may have been replaced."""
    return os.readlink("/proc/self/exe").removesuffix(" (deleted)")


def write_memory(name: str, data: bytes) -> int:
    """Return a new memory file that contains `data`."""
    memory = os.memfd_create(name)
    with os.fdopen(os.dup(memory), "wb") as stream:
        stream.write(data)
    return memory


def take_state(socket: str) -> "dict[str, Any] | None":
    """Return the state that the previous program left, or None.

    A state of format 1 does not name the control socket, whose path is `socket`.
    """
    word = os.environ.pop(VARIABLE, "")
    return read_state(int(word), socket) if word.isdecimal() else None


def read_state(fd: int, socket: str) -> "dict[str, Any] | None":
    """Return the state in the memory file `fd`, which is closed; None if it cannot be read."""
    try:
        with os.fdopen(fd, "rb") as stream:
            stream.seek(0)
            state = json.loads(stream.read())
        if isinstance(state, dict) and state.get("format") == 1:
            from zinit.control.reexec_format1 import upgrade

            return upgrade(state, socket)
    except Exception:  # whatever it is, the machine stays up
        return None
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
