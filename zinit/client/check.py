"""`zinit check FOLDER`: finds mistakes in service files without running anything."""

import os
import sys

from zinit.files.folder import Folder
from zinit.files.nodes import ConfigError
from zinit.files.plainyaml import parse_yaml
from zinit.files.service import Service
from zinit.files.signals import NUMBERS
from zinit.files.words import split_words
from zinit.life.graph import find_cycles
from zinit.process.accounts import find_account
from zinit.process.spawn import DEFAULT_PATH, find_program

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
        return f"{place}: {self.level}: {self.text}"


def check_folder(path: str) -> list[Finding]:
    """Return all findings in a folder; raises OSError if it cannot be read."""
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
        findings += check_service(service, services, folder.file_of(name), lines[name])
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


def check_service(
    service: Service, services: dict[str, Service], path: str, lines: dict[str, int]
) -> list[Finding]:
    """Return the findings about a service's commands, dependencies, ignored keys and accounts."""
    findings = []
    for key, command in (
        ("exec", service.exec),
        ("test", service.test),
        ("liveness", service.liveness),
        ("reload", "" if service.reload in NUMBERS else service.reload),
    ):
        if command or key == "exec":
            findings += check_command(service, key, command, path, lines.get(key, 0))
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
    return findings + check_surroundings(service, path, lines)


def check_surroundings(service: Service, path: str, lines: dict[str, int]) -> list[Finding]:
    """Return the findings about folders and accounts that this machine does not have."""
    if service.root:
        return []  # they are looked up below `root`, which may not be mounted now
    findings = []
    if service.dir and not os.path.isdir(os.path.join("/", service.dir)):
        text = f"there is no folder {service.dir!r} on this machine"
        findings.append(Finding(WARNING, path, lines.get("dir", 0), text))
    try:
        find_account(service)
    except ValueError as error:
        keys = ("user",) if str(error).startswith("there is no user") else ("groups", "group")
        line = next((lines[key] for key in keys if key in lines), 0)
        findings.append(Finding(WARNING, path, line, f"{error} on this machine"))
    return findings


def check_command(service: Service, key: str, command: str, path: str, line: int) -> list[Finding]:
    """Return the findings about a command line."""
    try:
        words = split_words(command)
    except ValueError as error:
        return [Finding(ERROR, path, line, f"{key}: {error}")]
    if not words:
        return [Finding(ERROR, path, line, f"{key}: there is no command")]
    if service.root or ("/" in words[0] and not words[0].startswith("/")):
        return []  # the program is below `root` or `dir`
    try:
        program = find_program(
            words[0], service.env.get("PATH", os.environ.get("PATH", DEFAULT_PATH))
        )
    except OSError:
        program = ""
    if not os.access(program, os.X_OK):
        text = f"{key}: there is no program {words[0]!r} on this machine"
        return [Finding(WARNING, path, line, text)]
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
