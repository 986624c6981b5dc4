"""Shows the audit log on the console."""

from collections.abc import Mapping
from typing import Any

from common.text import printable
from core.daemon import tell

NAME = "api"


def show(entry: Mapping[str, Any]) -> None:
    """Write one line for an entry."""
    who = f"{entry['caller']} ({entry['role']})" if entry["caller"] else "somebody"
    what = f"{entry['method']} {entry['path']}".strip() or "no request"
    status = f" {entry['status']}" if entry["status"] else ""
    tell(NAME, printable(f"{who} from {entry['address']}: {what}: {entry['event']}{status}"))
