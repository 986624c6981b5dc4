"""Becoming another program without losing a service or a line of its log.

The state goes into a memory file whose descriptor survives exec, like the pipes of the services
and the listening socket; children stay children. The new program finds the descriptor's number in
its environment. This is how `zinit reexec` works, and what follows a crash of the manager.
"""

import json
import os
import sys

from zinit.log.ring import LineCutter
from zinit.process.readiness import NotifySocket, ReadyPipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zinit.daemon import Daemon

FORMAT = 1
VARIABLE = "ZINIT_STATE"
MISSING = 255 << 8  # the wait status of a child whose end was lost
STALE_S = 60.0
LIMIT = 5


def dump(daemon: "Daemon") -> "tuple[dict[str, object], list[int]]":
    """Return the state, and the descriptors that it speaks of."""
    streams = [
        [one.fd, one.mark.decode(), one.label, one.service, one.cutter.rest.decode("latin-1")]
        for one in daemon.outputs.streams.values()
    ]
    channels = [[pid, *one.dump()] for pid, one in daemon.system.channels.items()]
    writers = [[folder, *one.dump()] for folder, one in daemon.outputs.writers.items()]
    doors = daemon.server.dump()
    http = daemon.server.dump_http()
    state = {
        "format": FORMAT,
        "manager": daemon.manager.dump(),
        "ring": [line.decode("latin-1") for line in daemon.ring.lines()],
        "ring_end": daemon.ring.end,
        "streams": streams,
        "channels": channels,
        "writers": writers,
        "doors": doors,
        "http": http,
        "file_limits": daemon.system.file_limits,
        "started": daemon.api.started,
        "loaded": daemon.api.loaded,
        "faults": daemon.fault_times,
        "rebirths": daemon.rebirths,
    }
    fds = [*daemon.outputs.streams, *(one.fd for one in daemon.system.channels.values()), *doors]
    fds += [fd for fd, *_ in http]
    fds += [one.dump()[0] for one in daemon.outputs.writers.values()]
    return state, [fd for fd in fds if fd >= 0]


def become_anew(daemon: "Daemon") -> None:
    """Replace this program by itself, freshly read; returns only if that fails (OSError)."""
    state, fds = dump(daemon)
    memory = os.memfd_create("zinit-state", 0)
    with os.fdopen(os.dup(memory), "wb") as stream:
        stream.write(json.dumps(state).encode())
    for fd in fds:
        os.set_inheritable(fd, True)
    program = os.readlink("/proc/self/exe").removesuffix(" (deleted)")
    environment = {**os.environ, VARIABLE: str(memory)}
    try:
        if os.path.isdir(daemon.settings.start_folder):  # else its arguments may be absolute
            os.chdir(daemon.settings.start_folder)
        os.execve(program, sys.orig_argv, environment)
    finally:
        os.chdir("/")
        os.close(memory)
        for fd in fds:
            os.set_inheritable(fd, False)


def take_state() -> "dict[str, object] | None":
    """Return the state that the program before this one left, if there is one."""
    word = os.environ.pop(VARIABLE, "")
    if not word.isdecimal():
        return None
    try:
        with os.fdopen(int(word), "rb") as stream:
            stream.seek(0)
            state = json.loads(stream.read())
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and state.get("format") == FORMAT else None


def restore(daemon: "Daemon", state: "dict[str, Any]") -> None:
    """Fill a new daemon. What of the state can't be used is told, and the rest is."""
    ring = daemon.ring
    ring.start = ring.end = max(0, int(str(state["ring_end"])) - len(state["ring"]))
    for line in state["ring"]:
        ring.append(str(line).encode("latin-1"))
    limits = state["file_limits"]
    daemon.system.file_limits = (int(str(limits[0])), int(str(limits[1]))) if limits else None
    daemon.api.started = float(str(state["started"]))
    daemon.api.loaded = float(str(state.get("loaded", 0.0)))
    daemon.rebirths = [float(str(at)) for at in state["rebirths"]]
    daemon.manager.restore(state["manager"])
    for what, entries, restore_one in (
        ("a socket", state["doors"], restore_door),
        ("the proxy's socket", state.get("http", []), restore_http),
        ("what writes log files", state.get("writers", []), restore_writer),
        ("a service's output", state["streams"], restore_stream),
        ("a service's readiness", state["channels"], restore_channel),
    ):
        for entry in entries:
            try:
                restore_one(daemon, entry)
            except Exception as error:  # one that is lost must not take the others along
                daemon.report(f"cannot go on with {what}: {error}")
    find_lost_children(daemon)


def restore_door(daemon: "Daemon", entry: "Any") -> None:
    """Listen to clients again."""
    daemon.server.adopt_door(entry, daemon.settings.socket)


def restore_http(daemon: "Daemon", entry: "Any") -> None:
    """Serve HTTP again."""
    daemon.server.adopt_http(*entry)


def restore_writer(daemon: "Daemon", entry: "Any") -> None:
    """Go on with a writer of log files."""
    folder, number, pid, queue, *more = entry  # an older program says no more
    packets = [packet.encode("latin-1") for packet in queue]
    daemon.outputs.find_writer(folder).adopt(number, pid, packets, more[0] if more else 0)


def restore_stream(daemon: "Daemon", entry: "Any") -> None:
    """Read a service's pipe again, a begun line included."""
    fd, mark, label, name, rest = entry
    os.set_inheritable(fd, False)
    unit = daemon.manager.units.get(name)
    service = unit.record.service if unit else None
    stream = daemon.outputs.attach(fd, mark.encode(), label, name, service)
    stream.cutter = LineCutter(rest.encode("latin-1"))


def restore_channel(daemon: "Daemon", entry: "Any") -> None:
    """Listen to what a service says about itself again."""
    pid, kind, fd, *more = entry
    known = daemon.manager.launcher.pids.get(pid)
    if known is None:
        os.close(fd)
        return
    os.set_inheritable(fd, False)
    channel = ReadyPipe(fd) if kind == "fd" else NotifySocket.adopt(fd, more[0])
    daemon.system.adopt_channel(pid, known[0].name, channel)


def find_lost_children(daemon: "Daemon") -> None:
    """Whose end was seen but not worked off is no child any more: let it end now."""
    for pid in list(daemon.manager.launcher.pids):
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            daemon.manager.on_exit(pid, MISSING)
        else:
            daemon.system.adopt(pid)
    for unit in list(daemon.manager.units.values()):
        pid = unit.record.pid
        if pid and pid not in daemon.manager.launcher.pids:
            daemon.manager.lose_process(unit, MISSING)


def may_be_reborn(daemon: "Daemon") -> bool:
    """Tell whether starting anew may help: not if it happened again and again."""
    now = daemon.system.now()
    daemon.rebirths = [at for at in daemon.rebirths if now - at < STALE_S]
    if len(daemon.rebirths) >= LIMIT:
        return False
    daemon.rebirths.append(now)
    return True
