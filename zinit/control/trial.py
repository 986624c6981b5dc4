"""Tests the next program before this one gives itself up for it.

The program runs once as a child, with its usual arguments and `ZINIT_TRIAL` set: it imports all of
its modules, reads the state, and ends with status 0. A program that is broken, or that refuses the
state, is not executed; the one that runs goes on. Neither is one that ends well without having read
the state: an empty or half-written file does that.
"""

import json
import os
import sys

from zinit.control import late, reexec
from zinit.life.unit import Unit
from zinit.log.ring import Ring
from zinit.loop import is_ready
from zinit.process.spawn import spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from zinit.control.rescue import Program

VARIABLE = "ZINIT_TRIAL"
STATE_FD = 3
TRIAL_S = 10.0
TEXT_LIMIT = 4096
SIGKILL = 9
# Run first, since a program that knows no trials would start as a second daemon.
PRELUDE = """
import os, sys
sys.path[:] = {path!r}
try:
    from zinit.control import trial
except ImportError:
    import zinit.daemon, zinit.control.reexec
    sys.exit(os.lseek({state}, 0, os.SEEK_END) == 0)
os.execve({program!r}, {argv!r}, os.environ)
"""


def try_program(program: "Program", folder: str) -> str:
    """Run the program for a test in `folder`; return why it must not be executed, or nothing."""
    reader, writer = os.pipe()
    try:
        state = json.dumps(reexec.dump(program, lambda fd: fd)).encode()
        memory = reexec.write_memory("zinit-trial", state)
        try:
            os.lseek(memory, 0, os.SEEK_SET)
            pid = spawn_trial(folder if os.path.isdir(folder) else "/", memory, writer)
            os.close(writer)
            writer = -1
            return judge(pid, reader, lambda: is_read(memory, len(state)))
        finally:
            os.close(memory)
    except (OSError, ValueError) as error:
        return f"it cannot be tested: {error}"
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def spawn_trial(folder: str, memory: int, writer: int) -> int:
    """Start the trial; return its pid."""
    executable = reexec.find_executable()
    flags = ["-I"] * sys.flags.isolated + ["-S"] * sys.flags.no_site
    code = PRELUDE.format(path=sys.path, program=executable, argv=sys.orig_argv, state=STATE_FD)
    env = {**os.environ, VARIABLE: str(STATE_FD)}
    fds = {1: writer, 2: writer, STATE_FD: memory}
    return spawn_plain([executable, *flags, "-c", code], env, folder, fds)


def is_read(memory: int, size: int) -> bool:
    """Return whether the trial, which shares the offset of `memory`, has read all of it."""
    return os.lseek(memory, 0, os.SEEK_CUR) == size


def judge(pid: int, reader: int, has_read: "Callable[[], bool]") -> str:
    """Wait for the trial's end; return what is wrong, or nothing."""
    pidfd = os.pidfd_open(pid)
    try:
        if not is_ready(pidfd, TRIAL_S):
            os.killpg(pid, SIGKILL)  # the loop reaps it
            return f"the new program has not started within {TRIAL_S:g} s"
    finally:
        os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        return "" if has_read() else "the new program ends without having read the state"
    os.set_blocking(reader, False)
    try:
        said = os.read(reader, 1 << 16).decode(errors="replace").strip()
    except OSError:
        said = ""
    last = said.rpartition("\n")[2][-TEXT_LIMIT:]
    return f"the new program fails: {last or f'wait status {status}'}"


def run_trial() -> int:
    """In the trial: import everything and read the state; return the exit status."""
    try:
        late.import_all()
        state = reexec.read_state(int(os.environ[VARIABLE]), "")
        if state is None:
            raise ValueError(f"it reads no state but format {reexec.FORMAT}")
        check_state(state)
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def check_state(state: "dict[str, Any]") -> None:
    """Restore what can be restored without effects; raises any exception."""
    for fields in state["manager"]["units"]:
        Unit.restore(fields)
    Ring().restore(state["ring"])
    for part in ("program", "api", "server", "outputs", "system"):
        state[part].keys()
