"""One network of several machines: traffic between them, and with this host.

    with Network() as network:
        nics = [Nic(network=network, mac=f"52:54:00:00:00:0{n}") for n in (1, 2)]
        with QemuMachine(MachineConfig(boot, nics=(nics[0],))) as first, ...

A switch in this process connects the machines and a router: a QEMU without a machine, whose
user-mode network has DHCP, DNS, and this host's loopback at 10.0.2.2. Cables are pairs of sockets,
so nothing needs root and nothing is seen outside. Routers can be added and removed while machines
run, which are then without DHCP or have two of them.
"""

import contextlib
import re
import socket
import time
from types import TracebackType
from typing import Self

from common.scratch import scratch
from qemu.args import PROGRAM
from qemu.errors import MachineError
from qemu.launch import open_channel
from qemu.monitor import Monitor
from qemu.process import QemuProcess
from qemu.switch import Switch

ROUTER = "10.0.2.2"
START_DEADLINE_S = 60.0
# A row of `info usernet`: TCP[HOST_FORWARD] FD 127.0.0.1 HOST_PORT ADDRESS PORT ...
FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\d+\s+\S+\s+(\d+)\s+(\S+)\s+(\d+)")


class Router:
    """A QEMU without a machine, from `open` until `close`."""

    def __init__(self, options: str = "") -> None:
        self._options = options
        self._cleanup = contextlib.ExitStack()
        self._monitor: Monitor | None = None

    def open(self) -> socket.socket:
        """Start it; return the network's end of its cable. Raises `MachineError` if that fails."""
        cable = open_channel()
        try:
            self._start(cable.theirs)
        except BaseException:
            cable.ours.close()
            self.close()
            raise
        finally:
            cable.theirs.close()
        return cable.ours

    def _start(self, cable: socket.socket) -> None:
        work = self._cleanup.enter_context(scratch("network"))
        qmp = self._cleanup.enter_context(contextlib.closing(open_channel()))
        fds = [cable.fileno(), qmp.theirs.fileno()]
        call = router_args(fds[0], fds[1], self._options)
        process = QemuProcess(call, fds, work / "qemu.log")
        self._cleanup.callback(process.kill)
        process.start()
        qmp.theirs.close()
        self._monitor = Monitor(qmp.ours, time.monotonic())
        self._cleanup.callback(self._monitor.close)
        try:
            self._monitor.open(START_DEADLINE_S)
        except MachineError as error:
            process.wait(1)
            said = process.said() or error.message
            raise MachineError(f"cannot start the network: {said}") from error

    def close(self) -> None:
        """End it, which pulls its cable; safe to call twice."""
        self._monitor = None
        self._cleanup.close()

    def forward(self, address: str, port: int) -> int:
        """Return the port of this host's loopback that leads to a machine's TCP port."""
        if self._monitor is None:
            raise MachineError("the network has no router")
        said = self._monitor.human(f"hostfwd_add host tcp:127.0.0.1:0-{address}:{port}")
        rows = FORWARD.findall(self._monitor.human("info usernet"))
        found = [int(host) for host, to, number in rows if (to, number) == (address, str(port))]
        if said.strip() or not found:
            raise MachineError(f"cannot forward to {address}:{port}: {said.strip()}")
        return found[-1]


class Network:
    """A network for any number of machines, from `open` (or `with`) until `close`."""

    def __init__(self, *, has_router: bool = True) -> None:
        self._has_router = has_router
        self._cleanup = contextlib.ExitStack()
        self._switch: Switch | None = None
        self._router = Router()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start the network. Raises `MachineError` if that fails."""
        self._switch = Switch()
        self._cleanup.callback(self._switch.close)
        try:
            self._switch.start()
            if self._has_router:
                self._router = self.add_router()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the network; safe to call twice."""
        self._switch = None
        self._cleanup.close()

    def add_router(self, options: str = "") -> Router:
        """Start a router; `options` are those of QEMU's user-mode network ("restrict=on")."""
        switch = self._open_switch()
        router = Router(options)
        link = router.open()
        self._cleanup.callback(router.close)
        switch.add(link, is_router=True)
        return router

    def plug(self) -> socket.socket:
        """Return the machine's end of a new cable, which the caller closes."""
        switch = self._open_switch()
        ours, theirs = socket.socketpair()
        switch.add(ours)
        return theirs

    def forward(self, address: str, port: int) -> int:
        """Return the port of this host's loopback that leads to a machine's TCP port."""
        self._open_switch()
        return self._router.forward(address, port)

    def _open_switch(self) -> Switch:
        if self._switch is None:
            raise MachineError("the network is not open: use `with` or open()")
        return self._switch


def router_args(cable_fd: int, qmp_fd: int, options: str = "") -> list[str]:
    """Return the command line of the QEMU that is the router: a hub with two ports."""
    words = [PROGRAM, "-nodefaults", "-no-user-config", "-machine", "none", "-display", "none"]
    words += ["-chardev", f"socket,id=qmp,fd={qmp_fd}", "-mon", "chardev=qmp,mode=control"]
    host = f"user,id=host,{options}".rstrip(",")
    for name, backend in (("host", host), ("cable", f"socket,id=cable,fd={cable_fd}")):
        words += ["-netdev", backend]
        words += ["-netdev", f"hubport,id={name}port,hubid=0,netdev={name}"]
    return words
