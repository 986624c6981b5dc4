"""Looks up the user and groups of a service, before the fork, in passwd and group files."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service


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
    """Return the account; raises `ValueError` for unknown names.

    With `root`, names are looked up in the files below it, which give its numbers their meaning.
    """
    users = read_table(f"{service.root}/etc/passwd")
    groups = read_table(f"{service.root}/etc/group")
    user = find_row(users, service.user or "0")
    if user is None and not service.user.isdecimal():
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
    if word.isdecimal():
        return int(word)
    raise ValueError(f"there is no group {word!r}")


def find_row(table: list[list[str]], word: str) -> list[str] | None:
    """Return the row whose name is `word`, or else whose number is."""
    return next((row for row in table if row[0] == word), None) or next(
        (row for row in table if row[2] == word), None
    )


def read_table(path: str) -> list[list[str]]:
    """Return the complete rows of a passwd or group file, none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            rows = [line.rstrip("\n").split(":") for line in stream]
    except OSError:
        return []
    least = 7 if path.endswith("passwd") else 4
    return [row for row in rows if len(row) >= least and row[2].isdecimal()]
