"""What is announced of a node. Nobody vouches for it: callers check the node's certificate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.errors import ZosError
from common.nodes.nodeid import parse_node_id
from core.places import API_PORT

SERVICE = "_zero-os._tcp.local."
VERSION_CHARS = 64


@dataclass(frozen=True)
class Record:
    """A node on the local network."""

    node: str
    farm: int
    version: str
    port: int = API_PORT

    @property
    def instance(self) -> str:
        """Return the name of the announcement."""
        return f"{self.node}.{SERVICE}"

    @property
    def host(self) -> str:
        """Return the node's name in mDNS, which ignores case."""
        return f"zos-{self.node.lower()}.local."

    @property
    def texts(self) -> dict[str, str]:
        """Return the fields of the TXT record."""
        return {"node": self.node, "farm": str(self.farm), "version": self.version}


def make_record(identity: Mapping[str, Any], status: Mapping[str, Any]) -> Record:
    """Return the record of a node, as its identity and bring-up say."""
    version = str(status.get("release") or "")[:VERSION_CHARS]
    return Record(str(identity["node"]), int(status.get("farm") or 0), version)


def parse_texts(texts: Mapping[bytes, bytes | None], port: int) -> Record | None:
    """Return what a TXT record announces, None if it is no node."""
    try:
        found = {
            name: (texts.get(name.encode()) or b"").decode() for name in ("node", "farm", "version")
        }
        parse_node_id(found["node"])
        farm = int(found["farm"]) if found["farm"].isascii() and found["farm"].isdigit() else 0
    except (UnicodeDecodeError, ValueError, ZosError):
        return None
    return Record(found["node"], farm, found["version"][:VERSION_CHARS], port)
