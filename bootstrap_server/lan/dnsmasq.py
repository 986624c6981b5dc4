"""dnsmasq as a child process: started, waited for, watched, and ended.

setpriv(1) starts it as the user `nobody` with the three capabilities that it needs, so what parses
strangers' packets is never root, and the kernel kills it when this process dies in any way.
"""

import contextlib
import pwd
import queue
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from bootstrap_server.lan.interface import LanError
from common.run import explain_start
from common.text import printable

USER = "nobody"
RIGHTS = "-all,+net_admin,+net_raw,+net_bind_service"
START_S = 20.0
END_S = 5.0
LAST_LINES = 6
STARTED = "started, version"
# dnsmasq prints these at every start; they say nothing to a farmer.
DULL = ("compile time options:", STARTED)


class Dnsmasq:
    """The process. `tell` gets its lines; `on_death` is called if it ends by itself."""

    def __init__(
        self, folder: Path, tell: Callable[[str], None], on_death: Callable[[], None]
    ) -> None:
        self.call = make_call(folder / "dnsmasq.conf")
        self.tell = tell
        self.on_death = on_death
        self._said: deque[str] = deque(maxlen=LAST_LINES)
        self._has_started: queue.Queue[bool] = queue.Queue()
        self._status: int | None = None
        self._is_wanted = True

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Start it; when the block begins, it answers. End it after the block.

        The kernel ties it to the thread that calls this.
        """
        try:
            process = subprocess.Popen(
                self.call,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for its owner
            )
        except OSError as error:
            raise explain_start(error, self.call[0], shlex.join(self.call)) from error
        thread = threading.Thread(target=self._follow, args=[process], daemon=True)
        thread.start()
        try:
            self._wait_until_started()
            yield
        finally:
            self._is_wanted = False
            end(process)
            thread.join(END_S)

    def check(self) -> None:
        """Raise `LanError` with its last words if it has ended by itself."""
        if self._status is not None:
            raise self._dead(f"ended with status {self._status}")

    def _wait_until_started(self) -> None:
        try:
            has_started = self._has_started.get(timeout=START_S)
        except queue.Empty as error:
            raise self._dead(f"did not start within {START_S:g} s") from error
        if not has_started:
            raise self._dead(f"did not start, and ended with status {self._status}")

    def _dead(self, how: str) -> LanError:
        said = "\n".join(self._said) or "it said nothing"
        return LanError(f"cannot serve the LAN: dnsmasq {how}: {said}", hint=shlex.join(self.call))

    def _follow(self, process: "subprocess.Popen[bytes]") -> None:
        """Pass its lines on until it ends."""
        assert process.stderr is not None
        with process.stderr:
            for raw in process.stderr:
                line = printable(raw.decode(errors="replace").rstrip())
                text = line.partition("]: ")[2] or line
                self._said.append(text)
                if text.startswith(STARTED):
                    self._has_started.put(True)
                if not text.startswith(DULL):
                    self.tell(text)
        self._status = process.wait()
        self._has_started.put(False)
        if self._is_wanted:
            self.on_death()


def make_call(config: Path) -> list[str]:
    """Return the command line."""
    setpriv = find_program("setpriv", "util-linux")
    dnsmasq = find_program("dnsmasq", "dnsmasq-base")
    group = str(pwd.getpwnam(USER).pw_gid)
    words = [setpriv, "--reuid", USER, "--regid", group, "--clear-groups", "--no-new-privs"]
    words += ["--inh-caps", RIGHTS, "--ambient-caps", RIGHTS, "--bounding-set", RIGHTS]
    words += ["--pdeathsig", "KILL", dnsmasq, "--keep-in-foreground", f"--conf-file={config}"]
    return [*words, "--log-facility=-", "--pid-file"]


def find_program(name: str, package: str) -> str:
    """Return the path of a program."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if not found:
        raise LanError(
            f"cannot serve the LAN: {name} is not installed", hint=f"apt-get install {package}"
        )
    return found


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process, by force if it takes its time."""
    deadline = time.monotonic() + END_S
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
        return
    process.kill()
    process.wait()
