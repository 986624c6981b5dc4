"""Looks up the user and groups of a service, before the fork, in passwd and group files.

With `root` these files belong to a workload, which may have made them anything: a FIFO, a link out
of the root, a file without end, a file system that hangs. So they are opened inside the root, only
regular files of a limited size are read, and a separate process with a deadline reads them.
"""

import os

from zinit.loop import is_ready
from zinit.process.spawn import close_all_but, read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service

SIZE_LIMIT = 4 << 20
NUMBER_LIMIT = 0xFFFFFFFF  # (uid_t) -1 is no user
LOOK_UP_S = 0.5
ANSWER_LIMIT = 1 << 16
SIGKILL = 9


class LateError(ValueError):
    """The files were not read in time; they may be later, when the file system has answered."""

    errno = 11  # EAGAIN: the start is tried again


class Account:
    """The user and groups that a service runs as."""

    __slots__ = ("gid", "groups", "home", "name", "uid")

    def __init__(self, uid: int, gid: int, groups: list[int], name: str, home: str) -> None:
        self.uid = uid
        self.gid = gid
        self.groups = groups
        self.name = name
        self.home = home


def find_account(service: "Service") -> Account:
    """Return the account; raises `ValueError` for unknown names and files that cannot be read.

    With `root`, names are looked up in the files below it, which give its numbers their meaning.
    """
    return find_apart(service) if service.root else look_up(service)


def find_apart(service: "Service") -> Account:
    """Return the account, looked up in a child process that has `LOOK_UP_S` for it."""
    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            answer(service, writer)
        os.close(writer)
        writer = -1
        said = read_answer(reader)
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)
    if not said:
        os.kill(pid, SIGKILL)  # it may be stuck in a file system; the loop reaps it
        raise LateError(f"the users of {service.root} cannot be read in time")
    os.waitpid(pid, 0)
    return parse_answer(said)


def read_answer(reader: int) -> bytes:
    """Return what the child says; nothing if it takes longer than `LOOK_UP_S`."""
    if not is_ready(reader, LOOK_UP_S):
        return b""
    said = b""
    while part := os.read(reader, ANSWER_LIMIT):  # it is written at once
        said += part
    return said


def answer(service: "Service", writer: int) -> None:
    """In the child: write the account, or why there is none. Never returns."""
    try:
        close_all_but(writer)
        try:
            account = look_up(service)
            numbers = " ".join(map(str, [account.uid, account.gid, *account.groups]))
            said = f"{numbers}\0{account.name}\0{account.home}"
        except (OSError, ValueError, MemoryError) as error:
            said = str(error) or type(error).__name__
        os.write(writer, said.encode(errors="surrogateescape")[:ANSWER_LIMIT])
    finally:
        os._exit(0)


def parse_answer(said: bytes) -> Account:
    """Return the account in a child's answer; raises the ValueError that is there instead."""
    words = said.decode(errors="surrogateescape").split("\0")
    if len(words) != 3:
        raise ValueError(words[0])
    uid, gid, *groups = map(int, words[0].split())
    return Account(uid, gid, groups, words[1], words[2])


def look_up(service: "Service") -> Account:
    """Return the account; raises ValueError."""
    users = read_table(service.root, "/etc/passwd", 7)
    groups = read_table(service.root, "/etc/group", 4)
    user = find_row(users, service.user or "0")
    if user is None and not is_number(service.user or "0"):
        raise ValueError(f"there is no user {service.user!r}")
    uid = int(user[2]) if user else int(service.user or 0)
    name = user[0] if user else ""
    gid = int(user[3]) if user else uid
    if service.group:
        gid = find_group(groups, service.group)
    member_of = [int(row[2]) for row in groups if name and name in row[3].split(",")]
    extra = [find_group(groups, word) for word in service.groups]
    more = extra if service.groups else member_of
    return Account(uid, gid, sorted({gid, *more}), name, user[5] if user else "/")


def find_group(groups: list[list[str]], word: str) -> int:
    """Return the number of a group given by name or number; raises `ValueError`."""
    row = find_row(groups, word)
    if row is not None:
        return int(row[2])
    if is_number(word):
        return int(word)
    raise ValueError(f"there is no group {word!r}")


def find_row(table: list[list[str]], word: str) -> list[str] | None:
    """Return the row whose name is `word`, or else whose number is."""
    return next((row for row in table if row[0] == word), None) or next(
        (row for row in table if row[2] == word), None
    )


def is_number(word: str) -> bool:
    """Return whether `word` is the number of a user or group."""
    return word.isascii() and word.isdecimal() and len(word) <= 10 and int(word) < NUMBER_LIMIT


def read_table(root: str, path: str, least: int) -> list[list[str]]:
    """Return the usable rows, of at least `least` fields, of a passwd or group file.

    There are none if the file does not exist; raises ValueError if it cannot be used.
    """
    try:
        if root:
            from zinit.process.roots import read_in_root

            data = read_in_root(root, path, SIZE_LIMIT)
        else:
            data = read_regular(path, SIZE_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise ValueError(f"cannot read {root}{path}: {error.strerror}") from None
    rows = [line.split(":") for line in data.decode(errors="replace").split("\n")]
    numbers = (2, 3) if least > 4 else (2,)
    return [
        row
        for row in rows
        if len(row) >= least and "\0" not in row[0] and all(is_number(row[at]) for at in numbers)
    ]
