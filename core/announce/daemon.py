"""The daemon `announce`: announces the API on every network card, and follows their addresses."""

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Any, NoReturn

from zeroconf import NonUniqueNameException, ServiceInfo, Zeroconf

from common.ipc.client import call
from common.ipc.errors import IpcError
from common.ipc.server import Method
from core.announce.addresses import Addresses, open_changes, read_addresses, wait_for_quiet
from core.announce.record import SERVICE, Record, make_record
from core.daemon import Stop, Work, run_daemon, tell
from core.places import ANNOUNCE, DOOR, socket_of
from core.sandbox.profile import FEW_CONNECTIONS, INTERNET, LOCAL, NETLINK, Profile

NAME = "announce"
PROFILE = Profile(
    NAME, ANNOUNCE, families=LOCAL | INTERNET | NETLINK, connections_max=FEW_CONNECTIONS
)
LOOK_S = 900.0  # the release may change without an address
RETRY_S = 30.0
STOP_S = 3.0  # for the goodbye


def main() -> NoReturn:
    """Announce until SIGTERM."""
    run_daemon(PROFILE, begin)


def begin() -> Work:
    """Return the daemon's work; `status` says what is announced."""
    shown: dict[str, Any] = {"announced": None}
    methods = {"status": Method(lambda _: shown)}
    return Work(methods, lambda stop: follow(stop, shown), STOP_S)


def read_record() -> Record:
    """Return what to announce. Raises `IpcError`."""
    return make_record(call(socket_of("identity"), "describe"), call(DOOR, "status"))


def follow(stop: Stop, shown: dict[str, Any]) -> None:
    """Announce what there is, and again whenever that changes."""
    with open_changes() as changes:
        while not stop.is_asked:
            try:
                record, addresses = read_record(), read_addresses()
                with announced(record, addresses):
                    shown["announced"] = {**record.texts, "addresses": addresses.all}
                    wait_for_change(stop, changes, record, addresses)
            except (IpcError, OSError, NonUniqueNameException) as error:
                tell(NAME, f"cannot announce the node: {error}")
                stop.wait(RETRY_S)


def wait_for_change(
    stop: Stop, changes: socket.socket, record: Record, addresses: Addresses
) -> None:
    """Wait until something else is to be announced, or the daemon is to end."""
    poll = select.poll()
    for source in (stop, changes):
        poll.register(source, select.POLLIN)
    while not stop.is_asked:
        if poll.poll(LOOK_S * 1000) and not stop.is_asked:
            wait_for_quiet(changes)
        if stop.is_asked or read_addresses() != addresses or read_record() != record:
            return


@contextlib.contextmanager
def announced(record: Record, addresses: Addresses) -> Iterator[None]:
    """Announce a node while the block runs, and say goodbye; nothing without an address."""
    if not addresses.interfaces:
        yield
        return
    zeroconf = Zeroconf(interfaces=addresses.interfaces)
    try:
        zeroconf.register_service(describe(record, addresses))
        tell(NAME, f"announced with {', '.join(addresses.all)}")
        yield
    finally:
        zeroconf.close()


def describe(record: Record, addresses: Addresses) -> ServiceInfo:
    """Return a record as zeroconf has it."""
    return ServiceInfo(
        SERVICE,
        record.instance,
        port=record.port,
        properties=record.texts,
        server=record.host,
        parsed_addresses=addresses.all,
    )
