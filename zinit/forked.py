"""The spawn path for what `posix_spawn` can't do: fork, set up in the child, exec.

Imported only when a service asks for it. What fails in the child comes back as its errno through a
pipe that closes on exec, so the caller sees the same errors as from `posix_spawn`.
"""

import os

from zinit.system import DEFAULT_PATH, find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from zinit.config import Service
else:
    import _signal

FIRST_FREE = 256


def fork_exec(service: "Service", argv: list[str], env: dict[str, str], fds: dict[int, int]) -> int:
    """Start `argv` as `service` wants it; return its pid or raise OSError."""
    reader, writer = os.pipe()
    try:
        pid = os.fork()
    except OSError:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        become(service, argv, env, fds, writer)
    os.close(writer)
    said = os.read(reader, 256).decode(errors="replace")
    os.close(reader)
    if not said:
        return pid
    os.waitpid(pid, 0)
    number, _, what = said.partition(" ")
    raise OSError(int(number), os.strerror(int(number)), what)


def become(
    service: "Service", argv: list[str], env: dict[str, str], fds: dict[int, int], writer: int
) -> None:
    """In the child: turn into the service. Never returns."""
    what = argv[0]
    try:
        os.setsid()
        reset_signals()
        place(fds)
        if service.root:
            what = service.root
            os.chroot(service.root)
        what = service.dir or "/"
        os.chdir(what)
        what = argv[0]
        path = find_program(argv[0], env.get("PATH", DEFAULT_PATH))
        exec_file(path, argv, env)
    except OSError as error:
        os.write(writer, f"{error.errno} {what}".encode(errors="replace")[:200])
    except BaseException as error:
        os.write(writer, f"22 {what}: {error}".encode(errors="replace")[:200])
    finally:
        os._exit(127)


def exec_file(path: str, argv: list[str], env: dict[str, str]) -> None:
    """Exec `path`; a file that the kernel does not know is a shell script."""
    try:
        os.execve(path, argv, env)
    except OSError as error:
        if error.errno != 8:
            raise
        os.execve("/bin/sh", ["sh", path, *argv[1:]], env)


def reset_signals() -> None:
    """Give every signal its default meaning and unblock it."""
    for number in range(1, 32):
        if number not in (9, 19):
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def place(fds: dict[int, int]) -> None:
    """Put our descriptors where the service wants them, through numbers nobody uses."""
    import fcntl

    high = {
        target: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for target, ours in fds.items()
    }
    for target, ours in high.items():
        os.dup2(ours, target)
