"""Looks up the user and groups of a service, before the fork, in passwd and group files.

With `root` these files belong to a workload, which may have made them anything: a FIFO, a link out
of the root, a file without end, a file system that hangs. So they are opened inside the root, only
regular files of a limited size are read, and a separate process with a deadline reads them.
"""

import os
from time import monotonic

from zinit.loop import is_ready
from zinit.process.spawn import close_all_but, read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service

SIZE_LIMIT = 4 << 20
NUMBER_LIMIT = 0xFFFFFFFF  # (uid_t) -1 is no user
LOOK_UP_S = 0.5
GIVE_UP_S = 30.0
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


class Question:
    """A child process that looks an account up, and the pipe on which it answers."""

    __slots__ = ("asked_s", "pid", "reader")

    def __init__(self, service: "Service") -> None:
        self.reader, writer = os.pipe()
        try:
            self.asked_s = monotonic()
            self.pid = os.fork()
            if self.pid == 0:
                answer(service, writer)
        except BaseException:
            os.close(self.reader)
            raise
        finally:
            os.close(writer)

    def end(self) -> None:
        """Give up: the child may be stuck in a file system. The loop reaps it."""
        if not is_ready(self.reader, 0):  # so it lives, and the number is still its own
            os.kill(self.pid, SIGKILL)
        os.close(self.reader)


# Those that were not answered in time, by what was asked. The next try takes the answer, or a file
# system that needs longer than one try would be asked anew for ever.
_open: dict[tuple[object, ...], Question] = {}


def find_apart(service: "Service") -> Account:
    """Return the account, looked up in a child process; this one waits at most `LOOK_UP_S`.

    A child that is late has `GIVE_UP_S`, and the next call for the same account hears it.
    """
    drop_old()
    key = (service.root, service.user, service.group, *service.groups)
    late = _open.pop(key, None)
    question = late or Question(service)
    if not is_ready(question.reader, LOOK_UP_S):
        _open[key] = question
        raise LateError(f"the users of {service.root} cannot be read in time")
    try:
        return parse_answer(read_answer(question.reader))
    finally:
        os.close(question.reader)
        if late is None:  # the loop reaps the others, perhaps before
            os.waitpid(question.pid, 0)


def drop_old() -> None:
    """Give up questions that nobody asks any more, or that are not answered at all."""
    for key, question in list(_open.items()):
        if monotonic() > question.asked_s + GIVE_UP_S:
            del _open[key]
            question.end()


def read_answer(reader: int) -> bytes:
    """Return what the child says: it writes all at once, and then ends."""
    said = b""
    while part := os.read(reader, ANSWER_LIMIT):
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
