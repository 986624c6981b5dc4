"""`zinit check FOLDER`: finds mistakes in service files without running anything."""

import os
import stat
import sys

from common.text import printable
from zinit.files.folder import Folder
from zinit.files.nodes import ConfigError
from zinit.files.plainyaml import parse_yaml
from zinit.files.service import Service
from zinit.files.signals import NUMBERS
from zinit.files.words import split_words
from zinit.life.graph import find_cycles
from zinit.process.accounts import find_account
from zinit.process.roots import find_status
from zinit.process.spawn import DEFAULT_PATH

ERROR = "error"
WARNING = "warning"
LISTS = ("after", "requires", "wants")
IGNORED = ("test", "probe", "ready", "liveness", "watchdog")  # keys that a oneshot ignores


class Finding:
    """An error or warning; `line` counts from 1, and 0 stands for the whole file."""

    def __init__(self, level: str, path: str, line: int, text: str) -> None:
        self.level = level
        self.path = path
        self.line = line
        self.text = text

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return printable(f"{place}: {self.level}: {self.text}")  # files may have any names


class World:
    """Where programs, folders and accounts are looked up: this machine, or the tree `root`."""

    def __init__(self, root: str) -> None:
        self.root = root or "/"
        self.name = f"in {root}" if root else "on this machine"
        self.path = DEFAULT_PATH if root else os.environ.get("PATH", DEFAULT_PATH)

    def has_folder(self, path: str) -> bool:
        """Return whether there is a directory at `path`."""
        try:
            return stat.S_ISDIR(find_status(self.root, path).st_mode)
        except OSError:
            return False

    def has_program(self, word: str, path: str) -> bool:
        """Return whether there is the program `word`, searched in `path` if it has no slash."""
        names = [word] if "/" in word else [f"{folder}/{word}" for folder in path.split(":")]
        return any(map(self.is_program, names))

    def is_program(self, path: str) -> bool:
        """Return whether there is an executable file at `path`."""
        try:
            mode = find_status(self.root, path).st_mode
        except OSError:
            return False
        return stat.S_ISREG(mode) and mode & 0o111 != 0


def check_folder(path: str, root: str = "") -> list[Finding]:
    """Return all findings in a folder; raises OSError if it cannot be read.

    With `root`, the services are judged by what is in that tree, as if it were the machine's.
    """
    world = World(root)
    if not os.path.isdir(world.root):
        raise NotADirectoryError(20, "Not a directory", root)
    folder = Folder(path, report)
    findings: list[Finding] = []
    services: dict[str, Service] = {}
    lines: dict[str, dict[str, int]] = {}
    for name in folder.names():
        file = folder.file_of(name)
        try:
            service, warnings = folder.read(name)
        except ConfigError as error:
            findings.append(Finding(ERROR, file, error.line, error.reason))
            continue
        except OSError as error:
            findings.append(Finding(ERROR, file, 0, error.strerror or str(error)))
            continue
        services[name] = service
        lines[name] = find_lines(file)
        for warning in warnings:
            place, _, text = warning.partition(": ")
            findings.append(Finding(WARNING, file, int(place.split()[1]), text))
    for name, service in services.items():
        findings += check_names(service, services, folder.file_of(name), lines[name])
        findings += check_commands(service, world, folder.file_of(name), lines[name])
        findings += check_surroundings(service, world, folder.file_of(name), lines[name])
    findings += check_cycles(services, folder, lines)
    return sorted(findings, key=lambda one: (one.path, one.line))


def report(text: str) -> None:
    """Print a message that is not a finding."""
    sys.stderr.write(text + "\n")


def find_lines(path: str) -> dict[str, int]:
    """Return the line of every key, and of every item of a list, under `key item`."""
    with open(path, encoding="utf-8") as stream:
        top = parse_yaml(stream.read())
    lines: dict[str, int] = {}
    assert isinstance(top.value, dict)
    for key, node in top.value.items():
        lines[key] = node.line
        if isinstance(node.value, list):
            lines.update((f"{key} {item.value}", item.line) for item in node.value)
    return lines


def check_commands(
    service: Service, world: World, path: str, lines: dict[str, int]
) -> list[Finding]:
    """Return the findings about a service's commands."""
    findings = []
    for key, command in (
        ("exec", service.exec),
        ("test", service.test),
        ("liveness", service.liveness),
        ("reload", "" if service.reload in NUMBERS else service.reload),
    ):
        if command or key == "exec":
            for level, text in check_command(service, world, command):
                findings.append(Finding(level, path, lines.get(key, 0), f"{key}: {text}"))
    return findings


def check_names(
    service: Service, services: dict[str, Service], path: str, lines: dict[str, int]
) -> list[Finding]:
    """Return the findings about a service's dependencies and ignored keys."""
    findings = []
    for key in LISTS:
        level = WARNING if key == "wants" else ERROR
        for name in getattr(service, key):
            if name not in services:
                text = f"{key} names {name!r}, which does not exist"
                findings.append(Finding(level, path, lines.get(f"{key} {name}", 0), text))
    ignored = IGNORED if service.oneshot else ()
    for key in ignored:
        if key in lines:
            text = f"a oneshot is ready when it has ended: {key} is ignored"
            findings.append(Finding(WARNING, path, lines[key], text))
    return findings


def check_surroundings(
    service: Service, world: World, path: str, lines: dict[str, int]
) -> list[Finding]:
    """Return the findings about folders and accounts that do not exist."""
    if service.root:
        return []  # they are looked up below `root`, which may not be mounted now
    findings = []
    if service.dir and not world.has_folder(os.path.join("/", service.dir)):
        text = f"there is no folder {service.dir!r} {world.name}"
        findings.append(Finding(WARNING, path, lines.get("dir", 0), text))
    inside = Service.restore({**service.dump(), "root": world.root.rstrip("/")})
    try:
        find_account(inside)
    except ValueError as error:
        keys = ("user",) if str(error).startswith("there is no user") else ("groups", "group")
        line = next((lines[key] for key in keys if key in lines), 0)
        findings.append(Finding(WARNING, path, line, f"{error} {world.name}"))
    return findings


def check_command(service: Service, world: World, command: str) -> list[tuple[str, str]]:
    """Return the findings about one command line, as level and text."""
    try:
        words = split_words(command)
    except ValueError as error:
        return [(ERROR, str(error))]
    if not words:
        return [(ERROR, "there is no command")]
    if service.root or ("/" in words[0] and not words[0].startswith("/")):
        return []  # the program is below `root` or `dir`
    if not world.has_program(words[0], service.env.get("PATH", world.path)):
        return [(WARNING, f"there is no program {words[0]!r} {world.name}")]
    return []


def check_cycles(
    services: dict[str, Service], folder: Folder, lines: dict[str, dict[str, int]]
) -> list[Finding]:
    """Return a finding for every group of services that wait for each other."""
    after = {name: one.after + one.requires for name, one in services.items()}
    findings = []
    for names in find_cycles(after):
        way = walk_cycle(names[0], after, set(names))
        first, other = way[:2]
        places = (lines[first].get(f"{key} {other}", 0) for key in ("after", "requires"))
        text = f"these wait for each other and never start: {' -> '.join(way)}"
        findings.append(Finding(ERROR, folder.file_of(first), max(places), text))
    return findings


def walk_cycle(first: str, after: dict[str, tuple[str, ...]], group: set[str]) -> list[str]:
    """Return a path from `first` within its group that ends where it meets itself."""
    way = [first]
    while True:
        name = next(dep for dep in after[way[-1]] if dep in group)
        if name in way:
            return [*way[way.index(name) :], name]
        way.append(name)
