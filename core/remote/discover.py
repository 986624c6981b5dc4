"""Finds nodes on the local network by mDNS."""

import threading
import time
from dataclasses import dataclass

from zeroconf import ServiceBrowser, ServiceListener, Zeroconf

from core.announce.addresses import read_addresses
from core.announce.record import SERVICE, Record, parse_texts
from core.remote.errors import RemoteError

DISCOVER_S = 3.0
ANSWER_MS = 2000


@dataclass(frozen=True)
class Found:
    """A node that announces itself, and its addresses; it has proved nothing yet."""

    record: Record
    addresses: tuple[str, ...]


class Listener(ServiceListener):
    """Collects what is announced."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.found: dict[str, Found] = {}

    def add_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Take a new announcement."""
        info = zc.get_service_info(type_, name, ANSWER_MS)
        record = parse_texts(info.properties, info.port or 0) if info else None
        if info and record:
            addresses = tuple(info.parsed_scoped_addresses())
            with self.changed:
                self.found[record.node] = Found(record, addresses)
                self.changed.notify_all()

    def update_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Take an announcement that changed."""
        self.add_service(zc, type_, name)

    def remove_service(self, zc: Zeroconf, type_: str, name: str) -> None:
        """Keep it: a node that goes was there."""


def discover(wait_s: float = DISCOVER_S, node: str | None = None) -> list[Found]:
    """Return the nodes that answer in time; with `node`, end as soon as that one does."""
    interfaces = read_addresses().interfaces
    if not interfaces:
        raise RemoteError("cannot look for nodes: this machine has no network")
    listener, deadline = Listener(), time.monotonic() + wait_s
    zeroconf = Zeroconf(interfaces=interfaces)
    try:
        ServiceBrowser(zeroconf, SERVICE, listener)
        with listener.changed:
            while (left := deadline - time.monotonic()) > 0 and node not in listener.found:
                listener.changed.wait(left)
            return sorted(listener.found.values(), key=lambda found: found.record.node)
    finally:
        zeroconf.close()
