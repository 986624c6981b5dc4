"""Two machines in one network: traffic between them, with this host, and after one has ended."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from qemu.answers import wait_for_answer
from qemu.errors import MachineError, WaitTimeoutError
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig, Nic
from qemu.network import ROUTER, Network
from tests.helpers.needs import need_tool
from tests.helpers.vm.linux import make_linux

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 600
PORT = 7777
CONFIGURE = """
import sys; sys.path.insert(0, "/lib/test")
from node import *
load("failover", "net_failover", "virtio_net")
interface_up("lo", "127.0.0.1", "255.0.0.0")
interface_up("eth0", {address!r}, "255.255.255.0")
"""
SERVE = """
import os, socket
if os.fork() == 0:
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    server = socket.create_server(("", 7777))
    while True:
        link, (peer, _) = server.accept()
        link.sendall(b"hello " + peer.encode())
        link.close()
"""
ASK = """
import socket
with socket.create_connection(({host!r}, {port}), 60) as link:
    print(link.recv(99).decode())
"""


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> KernelBoot:
    """Return a small Linux guest with the agent."""
    need_tool("qemu-system-x86_64")
    need_tool("apt-get")
    return make_linux(tmp_path_factory.mktemp("linux"))


@pytest.fixture
def greeter() -> Iterator[int]:
    """Yield a port of this host's loopback where "hello from the host" is said."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    link.sendall(b"hello from the host")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_two_machines_talk_to_one_another_and_to_the_host(
    linux: KernelBoot, tmp_path: Path, greeter: int
) -> None:
    addresses = ("10.0.2.21", "10.0.2.22")
    with Network() as network, ExitStack() as stack:
        machines = []
        for number in range(2):
            nic = Nic(network=network, mac=f"52:54:00:00:00:0{number}")
            config = MachineConfig(boot=linux, memory_mib=512, has_agent=True, nics=(nic,))
            machine = QemuMachine(config, artefacts=tmp_path / str(number))
            machines.append(stack.enter_context(machine))
        for machine, address in zip(machines, addresses, strict=True):
            machine.guest.wait_until_ready(BOOT_S)
            machine.guest.python(CONFIGURE.format(address=address))
        first, second = machines
        port = network.forward(addresses[0], PORT)
        with pytest.raises(WaitTimeoutError, match="no answer on port"):
            wait_for_answer(port, 2)  # the connection is made, but nothing serves
        first.guest.python(SERVE)
        first.guest.wait_for_open_port(PORT, BOOT_S)
        between = second.guest.python(ASK.format(host=addresses[0], port=PORT))
        assert between == f"hello {addresses[1]}\n"
        assert wait_for_answer(port, BOOT_S) == f"hello {ROUTER}".encode()
        for machine in machines:
            said = machine.guest.python(ASK.format(host=ROUTER, port=greeter))
            assert said == "hello from the host\n"
        first.stop()
        said = second.guest.python(ASK.format(host=ROUTER, port=greeter))
        assert said == "hello from the host\n"


def test_a_network_says_what_it_can_not_do() -> None:
    need_tool("qemu-system-x86_64")
    with Network() as network:
        network.plug().close()
        with pytest.raises(MachineError, match="cannot forward"):
            network.forward("nowhere", 80)
    with pytest.raises(MachineError, match="not open"):
        network.plug()
