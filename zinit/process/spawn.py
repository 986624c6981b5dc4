"""Starts programs with `posix_spawn`, which, unlike fork, does not copy this process."""

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping
else:
    import _signal

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Python ignores SIGPIPE and SIGXFSZ; the shell that started us may have ignored others.
RESET_SIGNALS = tuple(n for n in range(1, 32) if _signal.getsignal(n) == _signal.SIG_IGN)
ENOEXEC = 8
ENVIRONMENT_LIMIT = 1 << 20


def read_regular(path: str, limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; raises OSError.

    A FIFO, a device or an endless file would block PID 1 or fill its memory.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(22, "Not a regular file", path)
        data = b""
        while len(data) <= limit and (part := os.read(fd, limit + 1 - len(data))):
            data += part
    finally:
        os.close(fd)
    if len(data) > limit:
        raise OSError(27, f"Longer than {limit} bytes", path)
    return data


def read_environment(path: str = "/etc/environment") -> dict[str, str]:
    """Return this process's environment, overridden by the KEY=VALUE lines of `path`."""
    drop_coerced_locale()
    env = dict(os.environ)
    env.pop("NOTIFY_SOCKET", None)
    try:
        text = read_regular(path, ENVIRONMENT_LIMIT).decode(errors="surrogateescape")
    except OSError:
        return env
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and key and not key.startswith("#") and "\0" not in line:
            env[key] = value
    return env


def drop_coerced_locale() -> None:
    """Remove the LC_CTYPE that Python sets where there is no locale (PEP 538)."""
    if os.environ.get("LC_CTYPE") not in ("C.UTF-8", "C.utf8", "UTF-8"):
        return
    try:
        with open("/proc/self/environ", "rb") as stream:  # as it was at the start
            if b"\0LC_CTYPE=" not in b"\0" + stream.read():
                del os.environ["LC_CTYPE"]
    except OSError:
        pass


def spawn_plain(argv: list[str], env: "Mapping[str, str]", cwd: str, fds: dict[int, int]) -> int:
    """Start `argv` in a new session with `fds` (child's descriptor: ours); return its pid."""
    actions = [(os.POSIX_SPAWN_DUP2, ours, target) for target, ours in fds.items()]
    if cwd != "/":
        os.chdir(cwd)
    try:
        path = find_program(argv[0], env.get("PATH", DEFAULT_PATH))
        try:
            return posix_spawn(path, argv, env, actions)
        except OSError as error:
            if error.errno != ENOEXEC:  # a script without #!, as execvp treats it
                raise
            return posix_spawn("/bin/sh", ["sh", path, *argv[1:]], env, actions)
    finally:
        if cwd != "/":
            os.chdir("/")


def posix_spawn(
    path: str, argv: list[str], env: "Mapping[str, str]", actions: list[tuple[int, int, int]]
) -> int:
    """Call `os.posix_spawn` with a new session and default signals for the child."""
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
    """Return the file that `word` names, searched in `path` if it has no slash; raises OSError."""
    if "/" in word:
        return word
    for folder in path.split(":"):
        name = f"{folder or '.'}/{word}"
        if os.access(name, os.X_OK) and not os.path.isdir(name):
            return name
    raise FileNotFoundError(2, "No such program", word)


def keep_from_children() -> None:
    """Close every descriptor above 2 at an exec: services get what their files ask for."""
    for word in os.listdir("/proc/self/fd"):
        if int(word) > 2:
            try:
                os.set_inheritable(int(word), False)
            except OSError:
                pass  # it was that of the folder


def close_all_but(*kept: int) -> None:
    """In a child: close every descriptor above 2 that is not in `kept`.

    A child that hangs must not hold clients' connections open.
    """
    at = 3
    for fd in sorted(kept):
        os.closerange(at, fd)
        at = max(at, fd + 1)
    os.closerange(at, 1 << 20)
