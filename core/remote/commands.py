"""What each command of `zos node` does with a node."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from common.files import open_atomic
from core.api.audit import check_chain
from core.remote import show
from core.remote.client import NodeClient

Words = Mapping[str, Any]
SUPPORT_MODE = 0o600


class Command(NamedTuple):
    """A command: what it does, how its answer is shown, and what it is called with."""

    help: str
    run: Callable[[NodeClient, Words], Any]
    show: Callable[[Any], None] | None = None
    arguments: tuple[str, ...] = ()


def getter(path: str) -> Callable[[NodeClient, Words], Any]:
    """Return a command that asks for something."""
    return lambda client, _: client.get(path)


def poster(path: str, *names: str) -> Callable[[NodeClient, Words], Any]:
    """Return a command that changes something, with these of its words."""
    return lambda client, words: client.post(path, **{name: words[name] for name in names})


def update(client: NodeClient, words: Words) -> Any:
    """Start an update to a release, or return what the channel holds."""
    if words["release"] is None:
        return client.get("/update")
    client.post("/update", release=words["release"])
    return None


def restart(client: NodeClient, words: Words) -> Any:
    """Restart a service."""
    return client.post(f"/services/{quoted(words['name'])}/restart")


def logs(client: NodeClient, words: Words) -> None:
    """Print a log."""
    path = f"/services/{quoted(words['name'])}/logs" if words["name"] else "/logs"
    for row in client.lines(path, follow=words["follow"], lines=words["lines"]):
        if words["json"]:
            sys.stdout.write(json.dumps(row) + "\n")
            sys.stdout.flush()
        else:
            show.log_line(row)


def audit(client: NodeClient, words: Words) -> None:
    """Print the audit log, if nothing in it was changed."""
    rows = list(client.lines("/audit"))
    check_chain(rows)
    for row in rows:
        if words["json"]:
            sys.stdout.write(json.dumps(row) + "\n")
        else:
            show.audit_line(row)


def support(client: NodeClient, words: Words) -> None:
    """Save the support bundle."""
    path = words["file"]
    with open_atomic(path, SUPPORT_MODE) as stream:
        for piece in client.pieces("/support"):
            stream.write(piece)
    size = path.stat().st_size
    sys.stderr.write(f"{path}: {show.size(size)}\n")


def quoted(name: str) -> str:
    """Return a service's name as a part of a path."""
    return quote(name, safe="")


COMMANDS: Mapping[str, Command] = {
    "status": Command("print how the node is", getter("/status"), show.status),
    "services": Command("list the services", getter("/services"), show.services),
    "logs": Command("print the log of a service, or of all", logs, arguments=("log",)),
    "restart": Command("restart a service", restart, arguments=("name",)),
    "network": Command("print the network's state", getter("/network"), show.network),
    "storage": Command("print disks and cache", getter("/storage"), show.storage),
    "capacity": Command("print what the machine has", getter("/capacity"), show.capacity),
    "versions": Command("print what runs", getter("/versions"), show.versions),
    "update": Command(
        "print what the channel holds, or start an update to it",
        update,
        show.update,
        ("release",),
    ),
    "rollback": Command("go back to the release before", poster("/rollback")),
    "reboot": Command("restart the machine", poster("/reboot", "kexec"), arguments=("kexec",)),
    "poweroff": Command("switch the machine off", poster("/poweroff")),
    "support": Command("save what somebody needs who helps", support, arguments=("file",)),
    "audit": Command("print the log of all calls, checked", audit),
}
