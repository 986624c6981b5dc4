"""Which services a change of their flist concerns; all others keep running.

A workload's service is moved to the new flist if

- its service file changed, or it is new,
- a changed path is mapped or open in one of its processes, is one of their programs, stands on its
  `exec` line, or is below /etc,
- one of its processes runs an interpreter: what such a program has read leaves no trace, so any
  change may concern it,
- it requires a service that is moved.

If any is, services without a process (oneshots that have succeeded) run again in the new root, as
they prepare it. Core-0's services are all moved: they are written in Python.
"""

import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from flist.format.diff import compare
from flist.format.nodes import load_nodes
from flist.format.opening import open_flist
from node.flists.model import Flist

UNIT_FOLDER = b"/etc/zinit/"
INTERPRETERS = re.compile(
    r"(python|pypy|perl|ruby|node|nodejs|php|lua|java|bash|dash|sh|busybox|tclsh|guile|erl|beam)"
    r"[0-9.]*(\.smp)?"
)
WORDS = ("after", "requires", "wants")
ALWAYS = "always"  # of `restart`

Changed = frozenset[bytes]


def changed_paths(old: Flist, new: Flist) -> Changed:
    """Return the absolute paths that differ between two flists; times alone do not count."""
    with open_flist(old.meta) as before, open_flist(new.meta) as after:
        changes = compare(load_nodes(before), load_nodes(after))
        return frozenset(
            b"/" + change.path.strip(b"/")
            for change in changes
            if change.kind != "M" or set(change.fields) - {"mtime_ns"}
        )


def reasons_to_move(
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    changed: Changed,
    uses: Callable[[str], Iterator[bytes]],
    *,
    is_more: bool = False,
) -> dict[str, str]:
    """Return why each of the services that are in both flists is moved; the others stay.

    `uses` yields the paths that a service's processes use, nothing if it has none. `is_more`: other
    services will run in the new root.
    """
    both = [name for name in new if name in old]
    found = {name: reason_of(name, old, new, changed, uses) for name in both}
    moved = {name: reason for name, reason in found.items() if reason}
    spread(moved, new, set(both))
    if moved or is_more:
        idle = [name for name in both if name not in moved and not any(True for _ in uses(name))]
        moved |= dict.fromkeys(idle, "it prepares the root")
    return moved


def reason_of(
    name: str,
    old: Mapping[str, bytes],
    new: Mapping[str, bytes],
    changed: Changed,
    uses: Callable[[str], Iterator[bytes]],
) -> str:
    """Return why one service is moved, "" if nothing speaks for it."""
    if old[name] != new[name]:
        return "its file changed"
    if any(is_setting(path) for path in changed):
        return "a file in /etc changed"
    named = sorted(changed.intersection(words_of(new[name])))
    if named:
        return f"{os.fsdecode(named[0])} changed"
    for path in uses(name):
        if INTERPRETERS.fullmatch(os.fsdecode(path.rpartition(b"/")[2])) and changed:
            return "it runs an interpreter"
        if path in changed:
            return f"{os.fsdecode(path)} changed"
    return ""


def is_setting(path: bytes) -> bool:
    """Return whether a path is below /etc, and no service file: those are compared alone."""
    return path.startswith(b"/etc/") and not (path + b"/").startswith(UNIT_FOLDER)


def spread(moved: dict[str, str], files: Mapping[str, bytes], both: set[str]) -> None:
    """Add the services that require one that is moved: zinit stops them with it."""
    while True:
        more = {
            name: f"it requires {needed}"
            for name in both - moved.keys()
            for needed in edges_of(files[name], ("requires",))
            if needed in moved
        }
        if not more:
            return
        moved |= more


def read_file(data: bytes) -> dict[str, object]:
    """Return what a service file says, {} for one that zinit refuses anyway."""
    try:
        value = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def is_lasting(data: bytes) -> bool:
    """Return whether zinit starts a service again however it ends, as it does by default."""
    value = read_file(data)
    restart = value.get("restart")
    policy = restart.get("policy") if isinstance(restart, dict) else restart
    return value.get("oneshot") is not True and policy in (None, ALWAYS)


def edges_of(data: bytes, words: tuple[str, ...] = WORDS) -> list[str]:
    """Return the names of the services that one waits for."""
    value, names = read_file(data), list[str]()
    for word in words:
        found = value.get(word)
        names += [str(name) for name in found] if isinstance(found, list) else []
    return names


def words_of(data: bytes) -> list[bytes]:
    """Return the words of a service's `exec` line."""
    text = str(read_file(data).get("exec", ""))
    with contextlib.suppress(ValueError):
        return [os.fsencode(word) for word in shlex.split(text)]
    return [os.fsencode(word) for word in text.split()]


def used_paths(pid: int, flist: Flist, proc: Path = Path("/proc")) -> Iterator[bytes]:
    """Yield the absolute paths in a flist that a service's processes have mapped or open."""
    prefixes = [os.fsencode(place) for place in (flist.root, flist.lower)]
    for member in members_of(pid, proc):
        for path in paths_of(proc / str(member)):
            found = next((path[len(one) :] for one in prefixes if path.startswith(one)), path)
            yield found.removesuffix(b" (deleted)")


def members_of(pid: int, proc: Path) -> list[int]:
    """Return a service's processes: those of its session, and their descendants."""
    parents, members = dict[int, int](), {pid} if pid else set()
    for place in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            parents[int(place.name)] = int(fields[1])
            if int(fields[3]) == pid:
                members.add(int(place.name))
    while more := {one for one, parent in parents.items() if parent in members} - members:
        members |= more
    return sorted(members)


def paths_of(process: Path) -> Iterator[bytes]:
    """Yield the program of a process, and the files that it has mapped or open."""
    with contextlib.suppress(OSError):
        yield os.fsencode((process / "exe").readlink())
    with contextlib.suppress(OSError):
        for line in (process / "maps").read_bytes().splitlines():
            fields = line.split(None, 5)
            if len(fields) == 6 and fields[5].startswith(b"/"):
                yield fields[5]
    with contextlib.suppress(OSError):
        for handle in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield os.fsencode(handle.readlink())
