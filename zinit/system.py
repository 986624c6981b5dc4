"""The only door to processes, signals and the clock.

A plain service is spawned with `posix_spawn`; one that asks for more than that can do goes through
`zinit.forked`. Statuses come from `reap` alone: nothing else in zinit waits for a process once the
loop runs. Signals go through pidfds, so that a number that was given to somebody else in the
meantime is never hit.
"""

import os
import time

from zinit.outputs import STDERR, STDOUT
from zinit.spawn import read_environment, spawn_plain
from zinit.units import MAIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from zinit.channels import NotifySocket, ReadyPipe
    from zinit.config import Service
    from zinit.loop import Loop
    from zinit.outputs import Outputs
    from zinit.units import Launch
else:
    import _signal

RANK = 3
TO_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
FILES_PER_SERVICE = 5
FILES_APART = 600
USUAL_LIMIT = 1024
RLIMIT_NOFILE = 7


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
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
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
        from zinit import cgroups

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

    def spawn(self, launch: "Launch") -> int:
        """Start a process; see `seam.System.spawn`."""
        service = launch.service
        opened: list[int] = []  # ours, then the child's, of each pipe
        channel = None
        try:
            fds = self._open_outputs(service, opened)
            env = {**self._env, **service.env} if service.env else self._env
            if launch.kind == MAIN and (service.ready or service.watchdog_s):
                channel, more = self._open_channel(service, fds, opened)
                env = {**env, **more}
            pid = self._start(service, launch.argv, env, fds)
        except BaseException:
            for fd in opened:
                os.close(fd)
            if channel is not None:
                channel.close(self._loop)
            raise
        self._keep(launch, opened)
        if channel is not None:
            self.adopt_channel(pid, service.name, channel)
        return pid

    def _give_file_limits(self, pid: int, limits: tuple[int, int]) -> None:
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

    def _open_outputs(self, service: "Service", opened: list[int]) -> dict[int, int]:
        """Return what the child's descriptors are to be; nothing means inherited."""
        if service.tty or service.log == "stdout":
            return {}
        if service.log == "none":
            return {1: self._null, 2: self._null}
        opened += os.pipe()
        opened += os.pipe()
        return {1: opened[1], 2: opened[3]}

    def _open_channel(
        self, service: "Service", fds: dict[int, int], opened: list[int]
    ) -> "tuple[NotifySocket | ReadyPipe, dict[str, str]]":
        """Return our side of the readiness channel and the variables that tell the service."""
        from zinit.channels import NotifySocket, ReadyPipe

        if service.ready == "fd":
            reader, writer = os.pipe()
            opened.append(writer)
            fds[service.ready_fd] = writer
            return ReadyPipe(reader), {}
        uid = 0
        if service.user:
            from zinit.accounts import find_account

            uid = find_account(service).uid
        door = NotifySocket(uid)
        env = {"NOTIFY_SOCKET": door.address}
        if service.watchdog_s:
            env["WATCHDOG_USEC"] = str(int(service.watchdog_s * 1_000_000))
        return door, env

    def _start(
        self, service: "Service", argv: list[str], env: dict[str, str], fds: dict[int, int]
    ) -> int:
        if needs_fork(service):
            from zinit.forked import fork_exec

            pid = fork_exec(service, argv, env, fds, self.file_limits, self.report)
        else:
            pid = spawn_plain(argv, env, service.dir or "/", fds)
            if self.file_limits is not None:
                self._give_file_limits(pid, self.file_limits)
        self.adopt(pid)
        return pid

    def _keep(self, launch: "Launch", opened: list[int]) -> None:
        """After a spawn: keep our ends, close the child's."""
        service = launch.service
        if len(opened) >= 4:
            out, out_child, err, err_child = opened[:4]
            os.close(out_child)
            os.close(err_child)
            self._outputs.mark_start(launch.label)
            self._outputs.attach(out, STDOUT, launch.label, service.name, service)
            self._outputs.attach(err, STDERR, launch.label, service.name, service)
        if len(opened) % 4:
            os.close(opened[-1])


def ignore_notify(name: str, pid: int, lines: list[bytes]) -> None:
    """Stand in until the manager listens."""


def needs_fork(service: "Service") -> bool:
    """Tell whether `service` wants what posix_spawn can't do."""
    return bool(
        service.root
        or service.user
        or service.group
        or service.groups
        or service.limits
        or service.capabilities is not None
        or service.no_new_privileges
        or service.cgroup is not None
        or service.tty
        or service.netns
    )


def install_signals(numbers: tuple[int, ...]) -> int:
    """Turn `numbers` into bytes on a pipe; return its reading end."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        _signal.signal(number, lambda *_: None)
    return reader
