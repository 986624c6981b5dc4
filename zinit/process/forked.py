"""Starts services that `posix_spawn` cannot start: fork, set up in the child, exec.

Imported only when a service needs it. If the child fails, it sends its errno through a pipe that
closes on exec, so the caller sees the same errors as from `posix_spawn`. The caller waits at most
`EXEC_WAIT_S`, since the program may be on a disk that hangs; a child that fails later exits with
status 127.
"""

import fcntl
import os
import resource
import stat
import termios

from zinit.files import limits
from zinit.files.signals import SIGPIPE
from zinit.loop import is_ready
from zinit.process import capabilities, cgroups, kernel
from zinit.process.accounts import Account, find_account
from zinit.process.spawn import DEFAULT_PATH, ENOEXEC, close_all_but, find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable

    from zinit.files.service import Service
else:
    import _signal

EINVAL = 22
EXEC_WAIT_S = 0.5


class Plan:
    """Everything the child needs, determined before the fork."""

    def __init__(self, service: "Service", argv: list[str], env: dict[str, str]) -> None:
        self.service = service
        self.argv = argv
        self.env = env
        self.fds: dict[int, int] = {}
        self.account: Account | None = None
        self.cgroup = ""
        self.file_limits: tuple[int, int] | None = None
        self.doing = argv[0]  # the current step, for error messages


def fork_exec(
    service: "Service",
    argv: list[str],
    env: dict[str, str],
    fds: dict[int, int],
    file_limits: tuple[int, int] | None,
    report: "Callable[[str], None]",
) -> int:
    """Start `argv` as `service` asks; return its pid. Raises OSError or ValueError."""
    plan = Plan(service, argv, dict(env))
    plan.fds = fds
    plan.file_limits = file_limits
    find_user(plan)
    if service.cgroup is not None:
        plan.cgroup = cgroups.prepare(service, report)
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except BaseException:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        run_child(plan, writer)
    os.close(writer)
    check_exec(pid, reader)
    return pid


def find_user(plan: Plan) -> None:
    """Look up the account of the service, and set the variables that describe it."""
    service = plan.service
    if not (service.user or service.group or service.groups):
        return
    plan.account = find_account(service)
    if service.user:
        plan.env.update(USER=plan.account.name, LOGNAME=plan.account.name)
        plan.env.update(HOME=plan.account.home)
        plan.env.update(service.env)


def check_exec(pid: int, reader: int) -> None:
    """Reap the child and raise OSError if it reports an error within `EXEC_WAIT_S`."""
    said = os.read(reader, 512).decode(errors="replace") if is_ready(reader, EXEC_WAIT_S) else ""
    os.close(reader)
    if said:
        os.waitpid(pid, 0)
        number, _, what = said.partition(" ")
        raise OSError(int(number), os.strerror(int(number)), what)


def run_child(plan: Plan, writer: int) -> None:
    """In the child: become the service, or send the error. Never returns."""
    said = ""
    try:
        writer = move_above(writer, plan.fds)
        close_all_but(writer, *plan.fds.values())
        become(plan)
    except OSError as error:
        said = f"{error.errno or EINVAL} {plan.doing}"
    except BaseException as error:
        said = f"{EINVAL} {plan.doing}: {error}"
    finally:
        _signal.signal(SIGPIPE, _signal.SIG_IGN)
        try:
            os.write(writer, said.encode(errors="replace")[:500])
        finally:  # the write fails if the parent no longer waits
            os._exit(127)


def become(plan: Plan) -> None:
    """Set everything up, in an order in which each step still has the privileges it needs."""
    service = plan.service
    os.setsid()
    reset_signals()
    if plan.cgroup:
        plan.doing = f"control group {plan.cgroup}"
        cgroups.write(f"{plan.cgroup}/cgroup.procs", "0")
    place(plan.fds)
    if service.tty:
        plan.doing = service.tty
        take_terminal(service.tty)
    if service.netns:
        plan.doing = service.netns
        enter_namespace(service.netns)
    set_limits(plan)
    if service.root:
        plan.doing = service.root
        os.chroot(service.root)
    plan.doing = service.dir or "/"
    os.chdir(plan.doing)
    drop_privileges(plan)
    plan.doing = plan.argv[0]
    path = find_program(plan.argv[0], plan.env.get("PATH", DEFAULT_PATH))
    exec_file(path, plan.argv, plan.env)


def set_limits(plan: Plan) -> None:
    """Apply `limits`; children do not inherit PID 1's raised limit of open files."""
    if plan.file_limits is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, plan.file_limits)
    for name, pair in plan.service.limits.items():
        plan.doing = f"limit {name}"
        resource.setrlimit(limits.NUMBERS[name], pair)


def drop_privileges(plan: Plan) -> None:
    """Change to the service's user, groups and capabilities."""
    service = plan.service
    kept = service.capabilities
    if kept is not None:
        plan.doing = "capabilities"
        capabilities.limit_bounding_set(kept)
        capabilities.keep_over_setuid()
    if plan.account is not None:
        plan.doing = f"user {service.user or plan.account.uid}"
        give_pipes(plan, plan.account)
        os.setgroups(plan.account.groups)
        os.setgid(plan.account.gid)
        if service.user:
            os.setuid(plan.account.uid)
    if kept is not None:
        plan.doing = "capabilities"
        capabilities.set_exactly(kept)
    if service.no_new_privileges:
        capabilities.forbid_new_privileges()


def give_pipes(plan: Plan, account: Account) -> None:
    """Let the service's user own its pipes, so that it can open /dev/stdout and /dev/stderr."""
    if not plan.service.user:
        return
    for target in plan.fds:
        if stat.S_ISFIFO(os.fstat(target).st_mode):
            os.fchown(target, account.uid, account.gid)


def take_terminal(path: str) -> None:
    """Make `path` the controlling terminal and all three standard descriptors."""
    fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(fd, termios.TIOCSCTTY, 1)
    for target in (0, 1, 2):
        os.dup2(fd, target)
    if fd > 2:
        os.close(fd)


def enter_namespace(path: str) -> None:
    """Enter a network namespace."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    kernel.set_namespace(fd)
    os.close(fd)


def exec_file(path: str, argv: list[str], env: dict[str, str]) -> None:
    """Exec `path`; a file of unknown format runs as a shell script, as with execvp."""
    try:
        os.execve(path, argv, env)
    except OSError as error:
        if error.errno != ENOEXEC:
            raise
        os.execve("/bin/sh", ["sh", path, *argv[1:]], env)


def reset_signals() -> None:
    """Set every signal to its default action and unblock it."""
    for number in range(1, 32):
        if number not in (9, 19):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def place(fds: dict[int, int]) -> None:
    """Copy our descriptors to the numbers the service wants, by way of unused numbers."""
    high = {target: move_above(ours, fds) for target, ours in fds.items()}
    for target, ours in high.items():
        os.dup2(ours, target)


def move_above(fd: int, fds: dict[int, int]) -> int:
    """Return a copy of `fd` whose number is above every number that the service wants."""
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, max(fds, default=2) + 1)
