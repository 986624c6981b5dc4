"""Starting one process: its arguments, environment, descriptors and readiness channel."""

import os

from zinit.files.words import split_words
from zinit.life.unit import MAIN
from zinit.process.spawn import spawn_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.unit import Launch
    from zinit.loop import Loop
    from zinit.process.readiness import Channel

    FindReader = Callable[[str, int], int]

RLIMIT_NOFILE = 7


class Start:
    """A process that is being started: `prepare`, `spawn`, `close`, and `abandon` on failure."""

    __slots__ = (
        "argv",
        "channel",
        "env",
        "error",
        "fds",
        "launch",
        "ours",
        "pid",
        "reused",
        "theirs",
    )

    def __init__(self, launch: "Launch", env: dict[str, str]) -> None:
        self.launch = launch
        self.argv: list[str] = []
        self.env = env
        self.fds: dict[int, int] = {}  # the child's descriptor -> ours, to be copied
        self.ours: list[int] = []  # the reading ends of stdout and stderr, which we keep
        self.reused: set[int] = set()  # those of `ours` that an earlier process left open
        self.theirs: list[int] = []  # closed here as soon as the child has its copy
        self.channel: Channel | None = None
        self.pid = 0
        self.error: Exception | None = None

    def prepare(self, null: int, find_reader: "FindReader") -> None:
        """Open what the process needs.

        `null` is a descriptor of /dev/null; `find_reader` is `Outputs.reader_of`.
        """
        service = self.launch.service
        self.argv = split_words(self.launch.command)
        if not self.argv:
            raise ValueError("there is no command")
        if service.env:
            self.env = {**self.env, **service.env}
        self._open_outputs(null, find_reader)
        if self.launch.kind == MAIN and (service.ready or service.watchdog_s):
            self._open_channel()

    def spawn(self, file_limits: "tuple[int, int] | None", report: "Callable[[str], None]") -> None:
        """Start the process; raises OSError, ValueError or MemoryError."""
        service = self.launch.service
        if service.is_plain:
            if file_limits is None:
                self.pid = self._spawn_plain()
            else:
                self.pid = self._spawn_limited(file_limits)
            return
        from zinit.process.forked import fork_exec

        self.pid = fork_exec(service, self.argv, self.env, self.fds, file_limits, report)

    def _spawn_plain(self) -> int:
        return spawn_plain(self.argv, self.env, self.launch.service.dir or "/", self.fds)

    def _spawn_limited(self, limits: tuple[int, int]) -> int:
        """Start the process with other limits of open files than ours.

        The child inherits ours, so they are lowered for a moment. Descriptors above the limit can't
        be handed over then; `lift` keeps the low numbers free, and if that does not suffice the
        child's limits are set right after its start.
        """
        import resource

        if max(self.fds.values(), default=0) >= limits[0]:
            pid = self._spawn_plain()
            set_file_limits(pid, limits)
            return pid
        raised = resource.getrlimit(RLIMIT_NOFILE)
        resource.setrlimit(RLIMIT_NOFILE, limits)
        try:
            return self._spawn_plain()
        finally:
            resource.setrlimit(RLIMIT_NOFILE, raised)

    def lift(self, limits: "tuple[int, int] | None") -> None:
        """Give the descriptors that we keep numbers above `limits`, those of children."""
        self.ours = [fd if fd in self.reused else lift(fd, limits) for fd in self.ours]

    def close(self) -> None:
        """Close the child's ends here."""
        for fd in self.theirs:
            os.close(fd)

    def abandon(self, loop: "Loop") -> None:
        """Close our ends too, since there is no child."""
        for fd in self.ours:
            if fd not in self.reused:
                os.close(fd)
        if self.channel is not None:
            self.channel.close(loop)

    def _open_outputs(self, null: int, find_reader: "FindReader") -> None:
        """Open the child's stdout and stderr; without an entry in `fds` they are inherited."""
        service = self.launch.service
        if service.tty or service.log == "stdout":
            return
        if service.log == "none":
            self.fds = {1: null, 2: null}
            return
        for number in (1, 2):
            reader = find_reader(self.launch.label, number)
            if reader >= 0:
                writer = open_writer(reader)
                self.reused.add(reader)
            else:
                reader, writer = os.pipe()
            self.ours.append(reader)
            self.theirs.append(writer)
            self.fds[number] = writer

    def _open_channel(self) -> None:
        """Open the readiness channel and tell the service where it is."""
        from zinit.process.readiness import NotifySocket, ReadyPipe

        service = self.launch.service
        if service.ready == "fd":
            reader, writer = os.pipe()
            self.channel = ReadyPipe(reader)
            self.theirs.append(writer)
            self.fds[service.ready_fd] = writer
            return
        uid = 0
        if service.user:
            from zinit.process.accounts import find_account

            uid = find_account(service).uid
        self.channel = notify = NotifySocket(uid, service.netns)
        self.env = {**self.env, "NOTIFY_SOCKET": notify.address}
        if service.watchdog_s:
            self.env["WATCHDOG_USEC"] = str(int(service.watchdog_s * 1_000_000))


def open_writer(reader: int) -> int:
    """Return a new writing end of a pipe whose reading end is `reader`; raises OSError."""
    return os.open(f"/proc/self/fd/{reader}", os.O_WRONLY | os.O_CLOEXEC)


def lift(fd: int, limits: "tuple[int, int] | None") -> int:
    """Return a descriptor in place of `fd` whose number is above the limit, if there is room."""
    if limits is None or fd >= limits[0]:
        return fd
    import fcntl

    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, limits[0])
    except OSError:
        return fd
    os.close(fd)
    return high


def set_file_limits(pid: int, limits: tuple[int, int]) -> None:
    """Set a running child's limits of open files.

    With a lower limit of its own, the child could not copy our descriptors above that limit.
    """
    import resource

    try:
        resource.prlimit(pid, RLIMIT_NOFILE, limits)
    except (OSError, ValueError):
        pass  # the child has already ended
