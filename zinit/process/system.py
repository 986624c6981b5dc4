"""The only door to processes, signals and the clock.

A plain service is spawned with `posix_spawn`; one that asks for more than that can do goes through
`zinit.process.forked`. Statuses come from `reap` alone: nothing else in zinit waits for a process
once the loop runs. Signals go through pidfds, so that a number that was given to somebody else in
the meantime is never hit.
"""

import os
import time

from zinit.files.words import split_words
from zinit.life.unit import MAIN
from zinit.log.outputs import STDERR, STDOUT
from zinit.process.spawn import read_environment, spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence

    from zinit.files.service import Service
    from zinit.life.unit import Launch
    from zinit.log.outputs import Outputs
    from zinit.loop import Loop
    from zinit.process.readiness import NotifySocket, ReadyPipe
else:
    import _signal

RANK = 3
TO_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
FILES_PER_SERVICE = 5
FILES_APART = 600
USUAL_LIMIT = 1024
RLIMIT_NOFILE = 7
EXPECTED = (OSError, ValueError, MemoryError)


class RealSystem:
    """Processes, signals and time of the machine."""

    def __init__(
        self,
        outputs: "Outputs",
        loop: "Loop",
        report: "Callable[[str], None]",
        fault: "Callable[[BaseException], None]",
    ) -> None:
        self.report = report
        self.fault = fault
        self.on_notify: Callable[[str, int, list[bytes]], None] = ignore_notify
        self._outputs = outputs
        self._loop = loop
        self._env = read_environment()
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._pidfds: dict[int, int] = {}
        self.channels: dict[int, NotifySocket | ReadyPipe] = {}  # pid -> readiness
        self._can_signal_groups = True
        self.file_limits: tuple[int, int] | None = None  # what children get back

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def reserve_files(self, services: int) -> None:
        """Raise our limit of open files if that many services need it; children keep theirs."""
        wanted = services * FILES_PER_SERVICE + FILES_APART
        if wanted <= USUAL_LIMIT:
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or wanted <= soft:
            return
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted * 2, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            self.report(f"cannot allow {wanted} open files: {error}")
            return
        if self.file_limits is None:
            self.file_limits = (soft, hard)

    def kill_group(self, pid: int, number: int) -> None:
        """Signal the group of a child that was not reaped yet."""
        pidfd = self._pidfds.get(pid)
        try:
            if pidfd is not None and self._can_signal_groups:
                _signal.pidfd_send_signal(pidfd, number, None, TO_GROUP)
            else:  # not reaped, so the number is still the child's
                os.killpg(pid, number)
        except ProcessLookupError:
            pass  # it has ended; the status is on its way
        except PermissionError as error:
            self.report(f"cannot signal process group {pid}: {error.strerror}")
        except OSError:
            if pidfd is None or not self._can_signal_groups:
                raise
            self._can_signal_groups = False  # an older kernel
            self.kill_group(pid, number)

    def kill_cgroup(self, service: "Service") -> None:
        """End every process of the service's control group."""
        from zinit.process import cgroups

        try:
            cgroups.kill(service)
        except OSError as error:
            self.report(f"{service.name}: cannot end its control group: {error.strerror}")

    def reap(self, on_exit: "Callable[[int, int], None]") -> None:
        """Collect every child that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._let_go(pid)
            on_exit(pid, status)

    def _let_go(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid, None)
        if pidfd is not None:
            os.close(pidfd)
        channel = self.channels.pop(pid, None)
        if channel is not None:
            channel.close(self._loop)

    def spawn(self, launches: "Sequence[Launch]") -> "list[int | Exception]":
        """Start processes; see `seam.System.spawn`.

        In three passes: each start lets other programs use the processor's caches, and Python work
        after that is several times as slow as in a row.
        """
        begun = [self._begin(launch) for launch in launches]
        for start in begun:
            if start.error is None:
                try:
                    start.pid = self._start(start)
                except Exception as error:
                    start.error = error
        return [self._finish(start) for start in begun]

    def _begin(self, launch: "Launch") -> "Start":
        """Open what the process will need."""
        start = Start(launch, self._env)
        service = launch.service
        try:
            start.argv = split_words(launch.command)
            if not start.argv:
                raise ValueError("there is no command")
            if service.env:
                start.env = {**self._env, **service.env}
            self._open_outputs(start)
            if launch.kind == MAIN and (service.ready or service.watchdog_s):
                self._open_channel(start)
        except Exception as error:
            start.error = error
        return start

    def _start(self, start: "Start") -> int:
        service, argv = start.launch.service, start.argv
        if service.is_plain:
            pid = spawn_plain(argv, start.env, service.dir or "/", start.fds)
            if self.file_limits is not None:
                self._give_file_limits(pid, self.file_limits)
            return pid
        from zinit.process.forked import fork_exec

        return fork_exec(service, argv, start.env, start.fds, self.file_limits, self.report)

    def _finish(self, start: "Start") -> "int | Exception":
        """Close the child's ends; keep ours if there is a child."""
        for fd in start.theirs:
            os.close(fd)
        if start.error is not None:
            for fd in start.ours:
                os.close(fd)
            if start.channel is not None:
                start.channel.close(self._loop)
            if not isinstance(start.error, EXPECTED):
                self.fault(start.error)
            return start.error
        self.adopt(start.pid)
        self._listen(start)
        return start.pid

    def _listen(self, start: "Start") -> None:
        """Read what the child prints, and what it says over its readiness channel."""
        launch, service = start.launch, start.launch.service
        if start.ours:
            self._outputs.mark_start(launch.label)
        for fd, mark in zip(start.ours, (STDOUT, STDERR), strict=False):
            try:
                self._outputs.attach(fd, mark, launch.label, service.name, service)
            except OSError as error:  # it runs all the same
                os.close(fd)
                self.report(f"{launch.label}: cannot read what it prints: {error.strerror}")
        if start.channel is not None:
            self.adopt_channel(start.pid, service.name, start.channel)

    def _give_file_limits(self, pid: int, limits: tuple[int, int]) -> None:
        """Set a child's limits; before the spawn, it could not copy what we have above them."""
        import resource

        try:
            resource.prlimit(pid, RLIMIT_NOFILE, limits)
        except (OSError, ValueError):
            pass  # it has ended already

    def adopt(self, pid: int) -> None:
        """Be able to signal a child that is there already."""
        try:
            self._pidfds[pid] = os.pidfd_open(pid)
        except OSError:
            pass  # out of descriptors: until it is reaped its number is as good

    def adopt_channel(self, pid: int, name: str, channel: "NotifySocket | ReadyPipe") -> None:
        """Listen to what a child says about itself."""
        self.channels[pid] = channel
        channel.open(self._loop, name, pid, self.on_notify)

    def _open_outputs(self, start: "Start") -> None:
        """Set what the child's stdout and stderr are to be; nothing means inherited."""
        service = start.launch.service
        if service.tty or service.log == "stdout":
            return
        if service.log == "none":
            start.fds = {1: self._null, 2: self._null}
            return
        for number in (1, 2):
            reader, writer = os.pipe()
            start.ours.append(reader)
            start.theirs.append(writer)
            start.fds[number] = writer

    def _open_channel(self, start: "Start") -> None:
        """Open our side of the readiness channel, and let the service know of it."""
        from zinit.process.readiness import NotifySocket, ReadyPipe

        service = start.launch.service
        if service.ready == "fd":
            reader, writer = os.pipe()
            start.channel = ReadyPipe(reader)
            start.theirs.append(writer)
            start.fds[service.ready_fd] = writer
            return
        uid = 0
        if service.user:
            from zinit.process.accounts import find_account

            uid = find_account(service).uid
        start.channel = door = NotifySocket(uid, service.netns)
        start.env = {**start.env, "NOTIFY_SOCKET": door.address}
        if service.watchdog_s:
            start.env["WATCHDOG_USEC"] = str(int(service.watchdog_s * 1_000_000))


class Start:
    """A process on its way: what it gets, and what became of it."""

    __slots__ = ("argv", "channel", "env", "error", "fds", "launch", "ours", "pid", "theirs")

    def __init__(self, launch: "Launch", env: dict[str, str]) -> None:
        self.launch = launch
        self.argv: list[str] = []
        self.env = env
        self.fds: dict[int, int] = {}  # the child's descriptor -> ours, to be copied
        self.ours: list[int] = []  # what we keep: the reading ends of stdout and stderr
        self.theirs: list[int] = []  # what we close once the child has it
        self.channel: NotifySocket | ReadyPipe | None = None
        self.pid = 0
        self.error: Exception | None = None


def ignore_notify(name: str, pid: int, lines: list[bytes]) -> None:
    """Stand in until the manager listens."""


def install_signals(numbers: tuple[int, ...]) -> int:
    """Turn `numbers` into bytes on a pipe; return its reading end.

    Also those that came while the program before this one became this (see `hold_signals`).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        _signal.signal(number, lambda *_: None)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, numbers)
    return reader


def hold_signals(numbers: tuple[int, ...], wake: int) -> None:
    """Let `numbers` wait, also those whose bytes are in the pipe, until they are unblocked."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, numbers)
    try:
        came = os.read(wake, 4096)
    except OSError:
        return  # nothing came, or there is no pipe yet
    for number in set(came):
        os.kill(os.getpid(), number)


def release_signals(numbers: tuple[int, ...]) -> None:
    """Undo `hold_signals`."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, numbers)
