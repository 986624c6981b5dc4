"""The only door to processes, signals and the clock.

A plain service is spawned with `posix_spawn` (which, unlike fork, does not copy this process); one
that asks for more than `posix_spawn` can do goes through `zinit.forked`. Statuses come from
`reap` alone: nothing else in zinit waits for a process once the loop runs.
"""

import os
import time

from zinit.outputs import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    import socket as _socket
    from collections.abc import Callable

    from zinit.config import Service
    from zinit.loop import Loop
    from zinit.manager import Launch
    from zinit.outputs import Outputs
else:
    import _signal
    import _socket

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RESET_SIGNALS = (13, 25)  # SIGPIPE and SIGXFSZ, which Python ignores
NOTIFY_LIMIT = 4096
RANK = 3


class RealSystem:
    """Processes, signals and time of the machine."""

    def __init__(self, outputs: "Outputs", loop: "Loop", report: "Callable[[str], None]") -> None:
        self.report = report
        self.on_ready: Callable[[str, int], None] = ignore_ready
        self._outputs = outputs
        self._loop = loop
        self._env = read_environment()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._doors: dict[int, Callable[[], None]] = {}  # pid -> closes its readiness channel

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def kill_group(self, pid: int, number: int) -> None:
        """Signal the group of a child that was not reaped yet, so that its number is still its."""
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            pass  # it has ended; the status is on its way
        except PermissionError as error:
            self.report(f"cannot signal process group {pid}: {error.strerror}")

    def reap(self, on_exit: "Callable[[int, int], None]") -> None:
        """Collect every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            close = self._doors.pop(pid, None)
            if close is not None:
                close()
            on_exit(pid, status)

    def spawn(self, launch: "Launch") -> int:
        """Start a process; see `seam.System.spawn`."""
        service = launch.service
        is_main = launch.label == service.name
        opened: list[int] = []
        try:
            out, err = self._open_outputs(launch, opened)
            fds = {1: out, 2: err} if out >= 0 else {}
            env = {**self._env, **service.env} if service.env else self._env
            ready = None
            if is_main and service.ready == "fd":
                ready, fds[service.ready_fd] = os.pipe()
                opened += (ready, fds[service.ready_fd])
            door = None
            if is_main and service.ready == "notify":
                door, address = open_notify_socket()
                env = {**env, "NOTIFY_SOCKET": address}
            pid = self._start(service, launch.argv, env, fds)
        except BaseException:
            for fd in opened:
                os.close(fd)
            raise
        self._keep(launch, pid, opened, ready, door)
        return pid

    def _open_outputs(self, launch: "Launch", opened: list[int]) -> tuple[int, int]:
        """Return the descriptors for stdout and stderr, -1 to inherit."""
        kind = launch.service.log
        if kind == "none":
            return self._null, self._null
        if kind == "stdout":
            return -1, -1
        opened += os.pipe()
        opened += os.pipe()
        return opened[1], opened[3]

    def _start(
        self, service: "Service", argv: list[str], env: dict[str, str], fds: dict[int, int]
    ) -> int:
        if needs_fork(service):
            from zinit.forked import fork_exec

            return fork_exec(service, argv, env, fds)
        return spawn_plain(argv, env, service.dir or "/", fds)

    def _keep(
        self,
        launch: "Launch",
        pid: int,
        opened: list[int],
        ready: int | None,
        door: "_socket.socket | None",
    ) -> None:
        """After a spawn: keep our ends, close the child's."""
        service = launch.service
        if service.log in ("ring", "console"):
            out, out_child, err, err_child = opened[:4]
            os.close(out_child)
            os.close(err_child)
            self._outputs.mark_start(launch.label)
            to_console = service.log == "console"
            self._outputs.attach(out, STDOUT, launch.label, to_console)
            self._outputs.attach(err, STDERR, launch.label, to_console)
        if ready is not None:
            os.close(opened[-1])
            self._watch_ready_fd(service.name, pid, ready)
        if door is not None:
            self._watch_notify(service.name, pid, door)

    def _watch_ready_fd(self, name: str, pid: int, fd: int) -> None:
        """Readiness is a newline on the pipe."""

        def close() -> None:
            if self._doors.pop(pid, None) is not None or fd >= 0:
                self._loop.forget(fd)
                os.close(fd)

        def handle(_: int) -> None:
            data = os.read(fd, NOTIFY_LIMIT)
            if data and b"\n" not in data:
                return
            self._doors.pop(pid, None)
            close()
            if data:
                self.on_ready(name, pid)

        self._doors[pid] = close
        self._loop.watch(fd, RANK - 1, handle)

    def _watch_notify(self, name: str, pid: int, door: "_socket.socket") -> None:
        """Readiness is a datagram with the line READY=1 (sd_notify)."""

        def close() -> None:
            self._loop.forget(door.fileno())
            door.close()

        def handle(_: int) -> None:
            data = door.recv(NOTIFY_LIMIT)
            if b"READY=1" in data.split(b"\n"):
                self.on_ready(name, pid)

        self._doors[pid] = close
        self._loop.watch(door.fileno(), RANK - 1, handle)


def ignore_ready(name: str, pid: int) -> None:
    """Stand in until the manager listens."""


def needs_fork(service: "Service") -> bool:
    """Tell whether `service` wants what posix_spawn can't do."""
    return bool(service.root)


def read_environment(path: str = "/etc/environment") -> dict[str, str]:
    """Return this process's environment with the KEY=VALUE lines of `path` on top."""
    env = dict(os.environ)
    env.pop("NOTIFY_SOCKET", None)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            lines = stream.read(1 << 20).splitlines()
    except OSError:
        return env
    for line in lines:
        key, equals, value = line.strip().partition("=")
        if equals and key and not key.startswith("#"):
            env[key] = value
    return env


def spawn_plain(argv: list[str], env: dict[str, str], cwd: str, fds: dict[int, int]) -> int:
    """Start `argv` in a session of its own with `fds` (target: ours); return its pid."""
    actions = [(os.POSIX_SPAWN_DUP2, ours, target) for target, ours in fds.items()]
    os.chdir(cwd)
    try:
        path = find_program(argv[0], env.get("PATH", DEFAULT_PATH))
        try:
            return posix_spawn(path, argv, env, actions)
        except OSError as error:
            if error.errno != 8:  # ENOEXEC: a script without #!, as execvp treats it
                raise
            return posix_spawn("/bin/sh", ["sh", path, *argv[1:]], env, actions)
    finally:
        if cwd != "/":
            os.chdir("/")


def posix_spawn(
    path: str, argv: list[str], env: dict[str, str], actions: list[tuple[int, int, int]]
) -> int:
    """Call `os.posix_spawn` so that the child starts with nothing of PID 1's but what it needs."""
    return os.posix_spawn(
        path,
        argv,
        env,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=RESET_SIGNALS,
    )


def find_program(word: str, path: str) -> str:
    """Return the file that `word` names; raises OSError."""
    if "/" in word:
        return word
    for folder in path.split(":"):
        name = f"{folder or '.'}/{word}"
        if os.access(name, os.X_OK) and not os.path.isdir(name):
            return name
    raise FileNotFoundError(2, "No such program", word)


def open_notify_socket() -> "tuple[_socket.socket, str]":
    """Return a datagram socket in the abstract namespace and its NOTIFY_SOCKET address."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    door = _socket.socket(_socket.AF_UNIX, kind)
    name = "zinit-notify-" + os.urandom(12).hex()
    try:
        door.bind("\0" + name)
    except OSError:
        door.close()
        raise
    return door, "@" + name


def install_signals(numbers: tuple[int, ...]) -> int:
    """Turn `numbers` into bytes on a pipe; return its reading end."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        _signal.signal(number, lambda *_: None)
    return reader
