"""What the next program needs even if it cannot read the state: descriptors and pids, as lines.

    control FD TOKEN ADDRESS       the control socket; a token that is empty is written as `-`
    http FD TOKEN ADDRESS          the socket for HTTP
    pipe FD NUMBER LABEL           an output of a process
    unit PID UP NAME               a service: its process or 0, and whether it is wanted (1 or 0)
    other FD                       any other descriptor

The lines lie in a memory file of their own, whose descriptor `ZINIT_TABLE` names. Unlike the state
their format never changes.
"""

import os

from zinit.files.nodes import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as _socket
    from typing import Any, Protocol

    from zinit.control.api import Api
    from zinit.control.server import Server
    from zinit.life.manager import Manager
    from zinit.log.outputs import Outputs
    from zinit.log.ring import Ring
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
else:
    import _socket

VARIABLE = "ZINIT_TABLE"


class Table:
    """The lines, by their first word."""

    def __init__(self) -> None:
        self.sockets: dict[str, dict[str, object]] = {}  # control, http -> entry of the state
        self.pipes: list[tuple[int, int, str]] = []
        self.units: list[tuple[int, bool, str]] = []
        self.others: list[int] = []

    @property
    def is_empty(self) -> bool:
        """Whether it knows nothing."""
        return not (self.sockets or self.pipes or self.units)


def write_table(state: "dict[str, Any]", fds: list[int]) -> bytes:
    """Return the lines for a state and all descriptors in it."""
    lines = []
    named = set()
    for kind in ("control", "http"):
        entry = state["server"][kind]
        if entry:
            lines.append(f"{kind} {entry['fd']} {entry['token'] or '-'} {entry['address']}")
            named.add(entry["fd"])
    for stream in state["outputs"]["streams"]:
        lines.append(f"pipe {stream['fd']} {stream['number']} {stream['label']}")
        named.add(stream["fd"])
    for unit in state["manager"]["units"]:
        record = unit["record"]
        lines.append(f"unit {record['pid']} {int(record['target_up'])} {unit['service']['name']}")
    lines += [f"other {fd}" for fd in fds if fd not in named]
    return "\n".join(lines).encode(errors="surrogateescape")


def take_table() -> Table:
    """Return the table that the previous program left; an empty one if there is none."""
    word = os.environ.pop(VARIABLE, "")
    try:
        with os.fdopen(int(word), "rb") as stream:
            stream.seek(0)
            return read_table(stream.read())
    except (OSError, ValueError):
        return Table()


def read_table(data: bytes) -> Table:
    """Return the table in `data`; lines that cannot be read are left out."""
    table = Table()
    for line in data.decode(errors="surrogateescape").split("\n"):
        try:
            read_line(table, line)
        except (ValueError, IndexError):
            continue
    return table


def read_line(table: Table, line: str) -> None:
    """Add one line to the table; raises ValueError or IndexError."""
    kind, number, *words = line.split(" ", 3)
    if kind in ("control", "http"):
        token = "" if words[0] == "-" else words[0]
        table.sockets[kind] = {"fd": int(number), "token": token, "address": words[1]}
    elif kind == "pipe":
        table.pipes.append((int(number), int(words[0]), words[1]))
    elif kind == "unit":
        table.units.append((int(number), words[0] == "1", words[1]))
    elif kind == "other":
        table.others.append(int(number))


def rescue(program: "Program", table: Table, socket: str, is_lost: bool) -> None:
    """Take over what the state did not; with `is_lost` there was no state at all."""
    take_units(program, table)
    if not program.server.is_open:
        entries: dict[str, Any] = {"control": None, "http": None, **table.sockets}
        entries["control"] = entries["control"] or find_control(socket)
        program.server.restore(entries)
    for fd, number, label in table.pipes:
        if not program.outputs.has(fd):
            name = label.partition("/")[0]
            unit = program.manager.units.get(name)
            service = unit.record.service if unit else None
            try:
                program.outputs.attach(fd, number, label, name, service)
            except OSError as error:
                program.system.report(f"cannot read the output of {label}: {error.strerror}")
    for fd in table.others if is_lost else ():
        try:
            os.close(fd)
        except OSError:
            pass


def take_units(program: "Program", table: Table) -> None:
    """Manage the services of the table that the state did not have, from their files."""
    manager, report = program.manager, program.system.report
    found = []
    for pid, is_up, name in table.units:
        if name in manager.units:
            continue
        try:
            found.append((manager.load(name), pid, is_up))
        except (OSError, ConfigError) as error:
            alive = f"; its process {pid} goes on without being managed" if pid else ""
            report(f"{name}: cannot load its file: {error}{alive}")
    manager.take_in(found)


def find_control(path: str) -> "dict[str, object] | None":
    """Return the entry of the control socket, if a descriptor that was left open listens there."""
    for word in os.listdir("/proc/self/fd"):
        try:
            sock = _socket.socket(fileno=os.dup(int(word)))
        except OSError:
            continue
        try:
            is_listening = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN)
            if is_listening and sock.getsockname() == path:
                return {"fd": int(word), "token": "", "address": path}
        except OSError:
            continue
        finally:
            sock.close()
    return None
