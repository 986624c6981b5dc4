"""The real system behind the manager: processes, signals to them, and the clock.

A plain service is spawned with `posix_spawn`; one that asks for more goes through
`zinit.process.forked`. Only `reap` collects wait statuses: nothing else in zinit waits for a
process once the loop runs. Signals go through pidfds, so a reused pid is never signalled.
"""

import os
import time

from zinit.files.signals import SIGCHLD
from zinit.life.unit import PROBE
from zinit.process.launch import Start, lift
from zinit.process.spawn import keep_from_children, read_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol

    from zinit.files.service import Service
    from zinit.life.unit import Launch
    from zinit.loop import Loop
    from zinit.process.handover import HandOver
    from zinit.process.readiness import Channel

    class OutputReader(Protocol):
        """Reads the pipes of services."""

        def mark_start(self, label: str) -> None:
            """Note in the log that `label` starts."""
            ...

        def note(self, label: str, text: str) -> None:
            """Add a line of zinit to the log of `label`."""
            ...

        def release(self, name: str) -> None:
            """Note that the service `name` is forgotten."""
            ...

        def attach(
            self, fd: int, number: int, label: str, name: str, service: "Service | None"
        ) -> object:
            """Read `fd`, the child's descriptor `number` (1 or 2), and own it; raises OSError."""
            ...

        def reader_of(self, label: str, number: int) -> int:
            """Return the pipe that is still read for `label`, or -1."""
            ...
else:
    import _signal

RANK = 3
TO_GROUP = 4  # PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9
FILES_PER_SERVICE = 5
FILES_APART = 600
USUAL_LIMIT = 1024
REAPS = 50  # in one turn of the loop; each takes longer the more children there are
EXPECTED = (OSError, ValueError, MemoryError)


class RealSystem:
    """Processes, signals and time of the machine."""

    def __init__(
        self,
        outputs: "OutputReader",
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
        self._channels: dict[int, Channel] = {}  # pid -> readiness
        self._can_signal_groups = True
        self._file_limits: tuple[int, int] | None = None  # children get these back

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def note(self, name: str, text: str) -> None:
        """Add a line about the service `name` to its log."""
        self._outputs.note(name, text)

    def keep_files(self) -> None:
        """Keep the descriptors that we inherited from services."""
        try:
            keep_from_children()
        except OSError as error:
            self.report(f"services inherit descriptors: {error.strerror}")  # there is no /proc

    def reserve_files(self, services: int) -> None:
        """Raise our limit of open files if `services` need it; children keep the old limit."""
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
        if self._file_limits is None:
            self._file_limits = (soft, hard)

    def become_reaper(self) -> None:
        """Adopt what the processes of services leave behind, as PID 1 does anyway."""
        from zinit.process import kernel

        try:
            kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        except OSError as error:
            self.report(f"cannot become the parent of orphans: {error.strerror}")

    def kill_group(self, pid: int, number: int) -> None:
        """Signal the process group of a child, which may have been reaped (see `has_group`)."""
        pidfd = self._pidfds.get(pid)
        try:
            if pidfd is not None and self._can_signal_groups:
                _signal.pidfd_send_signal(pidfd, number, None, TO_GROUP)
            elif self.has_group(pid):
                os.killpg(pid, number)
        except ProcessLookupError:
            pass  # it has ended, and its status will be reaped
        except PermissionError as error:
            self.report(f"cannot signal process group {pid}: {error.strerror}")
        except OSError:
            if pidfd is None or not self._can_signal_groups:
                raise
            self._can_signal_groups = False  # an older kernel
            self.kill_group(pid, number)

    def has_group(self, pid: int) -> bool:
        """Return whether running processes of the group of a child are children of ours.

        What a process leaves behind becomes a child of PID 1, or of a daemon that is a subreaper.
        As long as there is such a child, which nobody else can reap, the group's number is not
        reused. Since statuses of ended children are not asked for, they do not count.
        """
        try:
            os.killpg(pid, 0)  # waitid looks at every child, this at the group alone
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # there is such a group
        try:
            os.waitid(os.P_PGID, pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def forget(self, service: "Service") -> None:
        """Remove what is kept for a service: its log's writer and its control group."""
        self._outputs.release(service.name)
        if service.cgroup is not None:
            from zinit.process import cgroups

            cgroups.remove(service)

    def kill_cgroup(self, service: "Service") -> None:
        """Kill every process of the service's control group."""
        from zinit.process import cgroups

        try:
            cgroups.kill(service)
        except OSError as error:
            self.report(f"{service.name}: cannot kill its control group: {error.strerror}")

    def reap(self, on_exit: "Callable[[int, int], None]") -> None:
        """Collect the statuses of children that have ended; many at once take several turns."""
        for _ in range(REAPS):
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._let_go(pid)
            on_exit(pid, status)
        _signal.raise_signal(SIGCHLD)  # so that the loop goes on with the others

    def _let_go(self, pid: int) -> None:
        pidfd = self._pidfds.pop(pid, None)
        if pidfd is not None:
            os.close(pidfd)
        channel = self._channels.pop(pid, None)
        if channel is not None:
            channel.close(self._loop)

    def spawn(self, launches: "Sequence[Launch]") -> "list[int | Exception]":
        """Start processes; see `seam.System.spawn`.

        Works in three passes: every spawn lets other programs use the processor's caches, and
        Python code that runs right after one is several times slower than in a row.
        """
        begun = [self._prepare(launch) for launch in launches]
        for start in begun:
            if start.error is None:
                try:
                    start.spawn(self._file_limits, self.report)
                except Exception as error:
                    start.error = error
        return [self._finish(start) for start in begun]

    def _prepare(self, launch: "Launch") -> Start:
        start = Start(launch, self._env)
        try:
            start.prepare(self._null, self._outputs.reader_of)
        except Exception as error:
            start.error = error
        return start

    def _finish(self, start: Start) -> "int | Exception":
        """Close the child's ends; keep ours if there is a child."""
        start.close()
        if start.error is not None:
            start.abandon(self._loop)
            if not isinstance(start.error, EXPECTED):
                self.fault(start.error)
            return start.error
        self.adopt(start.pid)
        self._listen(start)
        return start.pid

    def _listen(self, start: Start) -> None:
        """Read the child's output and its readiness channel."""
        launch, service = start.launch, start.launch.service
        if start.ours:
            if launch.kind != PROBE:  # tests run so often that marks would fill the log
                self._outputs.mark_start(launch.label)
            start.lift(self._file_limits)
        for number, fd in enumerate(start.ours, 1):
            try:
                self._outputs.attach(fd, number, launch.label, service.name, service)
            except OSError as error:  # the service runs all the same
                os.close(fd)
                self.report(f"{launch.label}: cannot read its output: {error.strerror}")
        if start.channel is not None:
            self._watch_channel(start.pid, service.name, start.channel)

    def _watch_channel(self, pid: int, name: str, channel: "Channel") -> None:
        self._channels[pid] = channel
        channel.open(self._loop, name, pid, self.on_notify)

    def adopt(self, pid: int) -> None:
        """Open a pidfd for a running child."""
        try:
            self._pidfds[pid] = lift(os.pidfd_open(pid), self._file_limits)
        except OSError:
            pass  # out of descriptors: until the child is reaped, its pid is as good

    def dump(self, hand_over: "HandOver") -> "dict[str, object]":
        """Return the limits of children and the open readiness channels."""
        channels = [
            {"pid": pid, **channel.dump(hand_over)}
            for pid, channel in self._channels.items()
            if channel.fd >= 0
        ]
        return {"file_limits": self._file_limits, "channels": channels}

    def restore(self, state: "dict[str, Any]", names: "dict[int, str]") -> None:
        """Take over what `dump` returned; `names` maps pids to their services."""
        from zinit.process.handover import restore_each

        if state["file_limits"]:
            soft, hard = state["file_limits"]
            self._file_limits = (int(soft), int(hard))

        def restore_channel(entry: "dict[str, Any]") -> None:
            from zinit.process.readiness import restore_channel as take_over

            pid = entry["pid"]
            if pid in names:
                self._watch_channel(pid, names[pid], take_over(entry))
            else:
                os.close(entry["fd"])

        restore_each("a readiness channel", state["channels"], restore_channel, self.report)


def ignore_notify(name: str, pid: int, lines: list[bytes]) -> None:
    """Stand in until the manager listens."""
