"""Reads the state of format 1, which held lists by position, for an upgrade by `zinit reexec`."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NUMBERS = {"[+]": 1, "[-]": 2}  # the mark of a stream -> the child's descriptor


def upgrade(state: "dict[str, Any]", socket: str) -> "dict[str, Any]":
    """Return `state` in format 2; `socket` is the path of the control socket."""
    return {
        "format": 2,
        "program": {"reexecs": state["rebirths"]},
        "ring": {"lines": state["ring"], "end": state["ring_end"]},
        "api": {"started": state["started"], "loaded": state.get("loaded", 0.0)},
        "manager": state["manager"],
        "server": {
            "control": upgrade_control(state["doors"], socket),
            "http": upgrade_http(state.get("http", [])),
        },
        "outputs": {
            "streams": [upgrade_stream(*entry) for entry in state["streams"]],
            "writers": [upgrade_writer(*entry) for entry in state.get("writers", [])],
        },
        "system": {
            "file_limits": state["file_limits"],
            "channels": [upgrade_channel(*entry) for entry in state["channels"] if entry[2] >= 0],
        },
    }


def upgrade_control(fds: list[int], socket: str) -> "dict[str, object] | None":
    """Return the control socket, if it was open."""
    return {"fd": fds[0], "address": socket, "token": ""} if fds else None


def upgrade_http(entries: "list[list[Any]]") -> "dict[str, object] | None":
    """Return the HTTP socket, if it was open; early versions kept no address."""
    if not entries:
        return None
    fd, token, *address = entries[0]
    return {"fd": fd, "address": address[0] if address else "", "token": token}


def upgrade_stream(fd: int, mark: str, label: str, service: str, rest: str) -> "dict[str, object]":
    """Return the pipe of a service."""
    number = NUMBERS[mark]
    return {"fd": fd, "number": number, "label": label, "service": service, "rest": rest}


def upgrade_writer(
    folder: str, fd: int, pid: int, queue: list[str], dropped: int = 0
) -> "dict[str, object]":
    """Return a log writer; early versions did not count dropped lines."""
    return {"folder": folder, "fd": fd, "pid": pid, "queue": queue, "dropped": dropped}


def upgrade_channel(pid: int, kind: str, fd: int, uid: int = 0) -> "dict[str, object]":
    """Return a readiness channel; only notify sockets have a uid."""
    return {"pid": pid, "kind": kind, "fd": fd, "uid": uid}
