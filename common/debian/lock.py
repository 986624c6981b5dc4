"""Locked Debian packages: exactly these files, whatever the mirror has meanwhile.

A lock file is TOML. A section holds one lock:

    [debian]
    suite = "trixie"
    components = ["main"]
    architecture = "amd64"
    snapshot = "20261130T120000Z"   # when it was made; the snapshot service keeps that day's files
    request = ["kmod"]              # what was asked for; dependencies were added
    packages = [
      {name = "kmod", version = "34.2-2", architecture = "amd64", source = "kmod", size = 95704,
       path = "pool/main/k/kmod/kmod_34.2-2_amd64.deb", sha256 = "9edb..."},
    ]

Each package is one line in the file. Reading is strict: an unknown, missing or wrong key is an
error that names the file and the place.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.errors import ZosError

WORD = re.compile(r"[a-z0-9][a-z0-9+.-]*")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]*")
POOL_PATH = re.compile(r"pool(/[A-Za-z0-9_][A-Za-z0-9_.+~%-]*)+\.deb")
DIGEST = re.compile(r"[0-9a-f]{64}")
TIME = re.compile(r"\d{8}T\d{6}Z")
SIZE_MAX_BYTES = 1 << 32


class LockError(ZosError):
    """A lock file can't be read, or does not fit what is asked of it."""


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One binary package; `path` is its place in Debian's archive, `source` its source package."""

    name: str
    version: str
    architecture: str
    source: str
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class DebianLock:
    """The packages that `request` led to, dependencies included, in the order of their names."""

    suite: str
    components: tuple[str, ...]
    architecture: str
    snapshot: str
    request: tuple[str, ...]
    packages: tuple[LockedPackage, ...]

    @property
    def identity(self) -> str:
        """Return the digest of the packages; locks of other times may have the same."""
        parts = sorted(f"{package.name} {package.sha256}\n" for package in self.packages)
        return hashlib.sha256("".join(parts).encode()).hexdigest()


PACKAGE_FORMS = {
    "name": WORD,
    "version": VERSION,
    "architecture": WORD,
    "source": WORD,
    "path": POOL_PATH,
    "size": int,
    "sha256": DIGEST,
}
LOCK_FORMS = {
    "suite": WORD,
    "components": [WORD],
    "architecture": WORD,
    "snapshot": TIME,
    "request": [WORD],
    "packages": [dict],
}


def load_sections(path: Path, names: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    """Return the top-level tables of a lock file: exactly `names`, and perhaps `optional` ones."""
    try:
        sections = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LockError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LockError(f"cannot read {path}: {error}", hint="make it again") from error
    check_keys(sections, {*names, *(sections.keys() & set(optional))}, str(path))
    return sections


def parse_lock(table: object, where: str) -> DebianLock:
    """Return the lock in a section; `where` names the place in messages."""
    value = check_table(table, LOCK_FORMS, where)
    rows = [
        parse_package(row, f"{where}, package {at}") for at, row in enumerate(value["packages"], 1)
    ]
    check_packages(rows, value["architecture"], where)
    lists = {key: tuple(value[key]) for key in ("components", "request")}
    return DebianLock(**{**value, **lists, "packages": tuple(rows)})


def parse_package(row: object, where: str) -> LockedPackage:
    """Return the package that a row describes."""
    if isinstance(row, Mapping) and isinstance(row.get("name"), str):
        where += f" ({row['name']})"
    return LockedPackage(**check_table(row, PACKAGE_FORMS, where))


def check_packages(rows: Sequence[LockedPackage], architecture: str, where: str) -> None:
    """Raise `LockError` for a package that stands twice or is of another architecture."""
    if len({row.name for row in rows}) != len(rows):
        raise LockError(f"cannot use {where}: a package stands in it twice")
    for row in rows:
        if row.architecture not in (architecture, "all"):
            raise LockError(f"cannot use {where}: {row.name} is for {row.architecture}")


def check_table(table: object, forms: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return `table` if it has exactly the keys of `forms`, with values of their forms."""
    if not isinstance(table, dict):
        raise LockError(f"cannot use {where}: it is not a table")
    check_keys(table, forms, where)
    for key, form in forms.items():
        if not fits(table[key], form):
            raise LockError(f"cannot use {where}: {key} is {table[key]!r}")
    return table


def check_keys(table: Mapping[str, Any], wanted: Iterable[str], where: str) -> None:
    """Raise `LockError` unless the keys of `table` are exactly `wanted`."""
    for key in sorted(set(table) ^ set(wanted)):
        what = "unknown key" if key in table else "there is no"
        raise LockError(f"cannot use {where}: {what} {key!r}", hint="make the lock file again")


def fits(value: object, form: Any) -> bool:
    """Return whether a value has a form: a pattern, a type, or a list of one of these."""
    if isinstance(form, list):
        return isinstance(value, list) and all(fits(item, form[0]) for item in value)
    if form is int:
        return type(value) is int and 0 < value < SIZE_MAX_BYTES
    if isinstance(form, type):
        return isinstance(value, form)
    return isinstance(value, str) and form.fullmatch(value) is not None


def render_lock(lock: DebianLock, section: str) -> str:
    """Return a lock as a section of a lock file; the same lock always gives the same text."""
    keys = ("suite", "components", "architecture", "snapshot", "request")
    lines = [f"{key} = {render_value(getattr(lock, key))}" for key in keys]
    return "\n".join([f"[{section}]", *lines, *render_rows("packages", lock.packages)]) + "\n"


def render_rows(key: str, rows: Iterable[Any]) -> list[str]:
    """Return an array of dataclasses, one on each line."""
    lines = [f"{key} = ["]
    for row in rows:
        values = (f"{f.name} = {render_value(getattr(row, f.name))}" for f in fields(row))
        lines.append(f"  {{{', '.join(values)}}},")
    return [*lines, "]"]


def render_value(value: str | int | Sequence[str]) -> str:
    """Return a value in TOML. Text in locks has no character that would need an escape."""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(render_value, value))}]"
