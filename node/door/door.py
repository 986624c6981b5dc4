"""The door's server and its table: who may call what."""

from pathlib import Path
from typing import Protocol

from common.ipc.errors import IpcError
from common.ipc.server import Method, Peer, Server
from node.door.callers import CHANGERS, EVERYBODY, OPERATORS
from node.door.services import Services
from zinit.client.line import Client

SOCKET = Path("/run/zero-os/door/socket")


class Shown(Protocol):
    """What the door shows of the node."""

    def rows(self) -> dict[str, object]:
        """Return the status."""
        ...

    def role_of(self, service: str) -> str:
        """Return the role of the flist that a service is from."""
        ...


class Updates(Protocol):
    """What the door asks of the node's generations."""

    def look(self, peer: Peer) -> dict[str, object]:
        """Return what could run."""
        ...

    def apply(self, peer: Peer, release: str) -> dict[str, object]:
        """Begin to change to a release."""
        ...

    def rollback(self, peer: Peer) -> dict[str, object]:
        """Begin to go back."""
        ...


class Reboots(Protocol):
    """What the door tells of reboots."""

    def before(self, *, once: bool, kexec: bool) -> None:
        """Remember what a reboot is for, load a kernel with `kexec`, or refuse it."""
        ...


class Door(Server):
    """Serves the node's methods on its socket."""

    def __init__(self, client: Client, shown: Shown, path: Path = SOCKET) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        services, power = Services(client, shown.role_of), Power(client)
        self.power = power
        methods = {
            "status": Method(lambda _: shown.rows(), EVERYBODY),
            "services.list": Method(services.list, EVERYBODY),
            "services.logs": Method(services.logs, OPERATORS),
            "services.restart": Method(services.restart, OPERATORS),
            "power.reboot": Method(power.reboot, CHANGERS),
            "power.off": Method(power.off, CHANGERS),
        }
        super().__init__(path, methods)

    def add_updates(self, updates: Updates, reboots: Reboots) -> None:
        """Serve the methods of updates from now on: the node knows what it runs."""
        self.power.reboots = reboots
        self.methods = {
            **self.methods,
            "update.look": Method(updates.look, CHANGERS),
            "update.apply": Method(updates.apply, CHANGERS),
            "update.rollback": Method(updates.rollback, CHANGERS),
        }


class Power:
    """Ends the node; zinit stops the services first."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.reboots: Reboots | None = None

    def reboot(self, _: Peer, kexec: bool = False, once: bool = False) -> dict[str, object]:
        """Restart the machine; `once` refuses it if a reboot has not helped before, `kexec` starts
        the kernel of the channel's release without the firmware."""
        if self.reboots is None and kexec:
            raise IpcError("cannot start another kernel: the node has not read its channel yet")
        if self.reboots is not None:
            self.reboots.before(once=once, kexec=kexec)
        self.client.reboot()
        return {}

    def off(self, _: Peer) -> dict[str, object]:
        """Switch the machine off."""
        self.client.shutdown()
        return {}
