"""Shows a node's answers to people. What a node says is not trusted with the terminal."""

import datetime
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from common.text import printable

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def write(text: str = "") -> None:
    """Print a line."""
    sys.stdout.write(printable(text) + "\n")


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table."""
    lines = [[name.upper() for name in names], *([word(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(names))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        write("  ".join(cells).rstrip())


def fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values below each other."""
    shown = [(name, word(value)) for name, value in pairs]
    width = max((len(name) for name, _ in shown), default=0) + 2
    for name, value in shown:
        write(f"{name + ':':<{width}}{value}".rstrip())


def word(value: Any) -> str:
    """Return a value in one line."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(word, value)) or "-"
    if isinstance(value, Mapping):
        return " ".join(f"{name}={word(item)}" for name, item in value.items()) or "-"
    return printable(str(value))


def size(value: Any) -> str:
    """Return a number of bytes with a unit."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "-"
    number = float(value)
    for unit in UNITS:
        if number < 1024 or unit == UNITS[-1]:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return "-"


def when(value: Any) -> str:
    """Return a Unix time in UTC."""
    try:
        found = datetime.datetime.fromtimestamp(float(value), datetime.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"
    return f"{found:%Y-%m-%d %H:%M:%S}"


def duration(value: Any) -> str:
    """Return a number of seconds for people."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "-"
    minutes, seconds = divmod(int(value), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days} d {hours:02}:{minutes:02}" if days else f"{hours:02}:{minutes:02}:{seconds:02}"


def status(value: Any) -> None:
    """Print a node's status."""
    identity, api = value.get("identity") or {}, value.get("api") or {}
    fields(
        (
            ("node", identity.get("node")),
            ("identity", identity.get("kind")),
            ("farm", value.get("farm")),
            ("release", value.get("release")),
            ("run mode", value.get("run_mode")),
            ("stage", f"{value.get('stage')} since {when(value.get('since'))}"),
            *update_rows(value.get("update") or {}),
            ("hubs", [hub.get("url") for hub in value.get("hubs") or ()]),
            ("API", f"port {api.get('port')}"),
        )
    )
    for problem in value.get("problems") or ():
        write(f"problem: {problem.get('code')} {problem.get('text')}".replace("  ", " "))


def services(value: Any) -> None:
    """Print the services."""
    rows = (
        (
            row.get("name"),
            row.get("state"),
            row.get("pid"),
            row.get("role"),
            duration(row.get("uptime_s")),
        )
        for row in value
    )
    table(("service", "state", "pid", "role", "up"), rows)


def network(value: Any) -> None:
    """Print the network."""
    shown = {name: item for name, item in value.items() if name != "interfaces"}
    fields(shown.items())
    rows = ((row.get("name"), row.get("mac"), row.get("addresses")) for row in value["interfaces"])
    table(("interface", "mac", "addresses"), rows)


def storage(value: Any) -> None:
    """Print the disks."""
    rows = (
        (
            row.get("name"),
            size(row.get("size")),
            row.get("is_rotating", row.get("type")),
            row.get("model"),
        )
        for row in value["disks"]
    )
    table(("disk", "size", "rotating", "model"), rows)
    parts = ("capacity", "used", "free")
    table(
        ("", "ssd", "hdd"),
        ([part, *(size(value[part].get(name)) for name in ("sru", "hru"))] for part in parts),
    )
    fields((("cache", value.get("cache")),))


def capacity(value: Any) -> None:
    """Print what the machine has."""
    names = ("mru", "sru", "hru")
    rows = (
        (
            part,
            (value.get(part) or {}).get("cru"),
            *(size((value.get(part) or {}).get(n)) for n in names),
        )
        for part in ("capacity", "used", "free")
    )
    table(("", "threads", "memory", "ssd", "hdd"), rows)
    fields(
        (name, value.get(name))
        for name in ("hypervisor", "virtualized", "secure_boot", "serial", "gpus", "load")
    )


def versions(value: Any) -> None:
    """Print what runs."""
    names = ("release", "boot_version", "run_mode", "generation")
    fields((name.replace("_", " "), value.get(name)) for name in names)
    rows = (
        (row.get("role"), row.get("name"), row.get("version"), str(row.get("sha256"))[:16])
        for row in value.get("set") or ()
    )
    table(("role", "flist", "version", "sha256"), rows)


def update(value: Any) -> None:
    """Print what the channel holds."""
    running, held = value.get("running") or {}, value.get("held") or {}
    fields(
        (
            ("running", running.get("running")),
            ("before", running.get("before")),
            *update_rows(running),
            ("channel", held.get("release")),
            ("published", when((held.get("waves") or {}).get("published"))),
            ("this farm's turn", when(held["turn"]) if held.get("turn") else "at once"),
            ("kernel changes", value.get("kernel_changes")),
        )
    )


def update_rows(record: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return how far an update is, and what went wrong with the last one, if anything did."""
    texts = (record.get("state"), record.get("target"))
    rows = [("update", " to ".join(str(text) for text in texts if text))]
    rows += [("reason", record["reason"])] if record.get("reason") else []
    return rows + ([("given up", record["bad"])] if record.get("bad") else [])


def log_line(row: Any) -> None:
    """Print a line of a log; what only shows that the stream lives has no name."""
    if row.get("name") or row.get("text"):
        stamp = f"{when(row['time'])} " if row.get("time") else ""
        write(f"{stamp}{row.get('name')}: {row.get('text')}")
        sys.stdout.flush()


def audit_line(row: Any) -> None:
    """Print an entry of the audit log."""
    who = f"{row.get('caller')} ({row.get('role')})" if row.get("caller") else "somebody"
    what = f"{row.get('method')} {row.get('path')} {row.get('event')} {row.get('status') or ''}"
    write(f"{row.get('n')} {when(row.get('time'))} {who} {row.get('address')} {what}".rstrip())
