"""The ways into a node that a finished image has, by kind: a production release has none."""

import re
import stat
from collections.abc import Iterable
from fnmatch import fnmatchcase

from image.formats.cpio import Member
from image.parts.project import DEBUG_MARK
from image.recipe.gate import LOGINS, SHELLS, is_way_in
from image.recipe.python import DEBUG_FOLDER

KINDS = ("debug mark", "agent", "shell", "login", "account", "other")
NO_SHELLS = ("nologin", "false", "zos")  # `zos` is no shell
OURS = ("init", "etc/group")  # `audit` checks their content
PATH = re.compile(rb"[\w./-]+")


def find_ways(members: Iterable[Member]) -> dict[str, list[str]]:
    """Return the paths of each kind of way in."""
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for row in members:
        if not stat.S_ISDIR(row.mode) and (kind := kind_of(row)):
            found[kind].append(row.name)
    return found


def kind_of(row: Member) -> str:
    """Return which kind of way in a file is, or nothing."""
    if row.name == "etc/passwd":
        return "account" if lets_log_in(row.content) else ""
    if row.name == "etc/os-release":
        return "debug mark" if DEBUG_MARK.encode() in row.content else ""
    if row.name.startswith("etc/zinit/"):
        kinds = (kind_of_path(word.decode()) for word in PATH.findall(row.content))
        return next(filter(None, kinds), "")
    return "" if row.name in OURS else kind_of_path(row.name)


def kind_of_path(path: str) -> str:
    """Return which kind of way in a path is, absolute or below the root."""
    path = path.removeprefix("/")
    if path.startswith(f"{DEBUG_FOLDER}/"):
        return "agent"
    if not is_way_in(path):
        return ""
    name = path.rpartition("/")[2]
    for kind, patterns in (("shell", SHELLS), ("login", LOGINS)):
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return kind
    return "account" if path.startswith("etc/") or "authorized_keys" in path else "other"


def lets_log_in(passwd: bytes) -> bool:
    """Return whether an account has a shell, or a password (an empty one, too)."""
    rows = [line.split(":") for line in passwd.decode(errors="replace").splitlines()]
    return any(
        len(row) != 7 or row[1] != "x" or row[6].rpartition("/")[2] not in NO_SHELLS for row in rows
    )
