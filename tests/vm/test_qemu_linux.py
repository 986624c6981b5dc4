"""The harness with a real kernel: the agent, networks, power, panics."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qemu.errors import GuestError, MachineEndedError, WaitTimeoutError
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig, Nic
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.linux import make_linux
from tests.helpers.waiting import wait_until

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 600
CONFIGURE = """
import sys; sys.path.insert(0, "/lib/test")
from node import *
load("failover", "net_failover", "virtio_net")
interface_up("lo", "127.0.0.1", "255.0.0.0")
interface_up("eth0", "10.0.2.15", "255.255.255.0")
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
        link, _ = server.accept()
        link.sendall(b"hello from the guest")
        link.close()
"""
POWER = """
import sys; sys.path.insert(0, "/lib/test")
from node import *
"""


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> KernelBoot:
    """Return a small Linux guest with the agent."""
    need_tool("qemu-system-x86_64")
    need_tool("apt-get")
    return make_linux(tmp_path_factory.mktemp("linux"))


def config_of(linux: KernelBoot, **settings: object) -> MachineConfig:
    """Return a machine that boots the guest."""
    return MachineConfig(boot=linux, memory_mib=512, has_agent=True, **settings)  # type: ignore[arg-type]


@pytest.fixture
def machine(linux: KernelBoot, tmp_path: Path) -> Iterator[QemuMachine]:
    """Yield a machine whose agent answers."""
    with QemuMachine(config_of(linux, forwards=(7777,)), artefacts=tmp_path / "vm") as machine:
        machine.guest.wait_until_ready(BOOT_S)
        yield machine


def test_the_commands_of_the_test_driver(machine: QemuMachine) -> None:
    """Programs, files and ports of the guest, and forwarded ports, all in one boot."""
    guest = machine.guest
    assert guest.succeed(["/usr/bin/python3", "-c", "print('hello')"]) == "hello\n"
    guest.fail("/usr/bin/python3 -c 'raise SystemExit(3)'")
    with pytest.raises(GuestError, match="no-such-program"):
        guest.succeed("no-such-program")
    with pytest.raises(WaitTimeoutError, match="did not end within 1 s"):
        guest.python("import time; time.sleep(99)", timeout_s=1)
    guest.write_file("/tmp/file", b"\0\xff" * 1000)
    guest.wait_for_file("/tmp/file", timeout_s=10)
    assert guest.read_file("/tmp/file") == b"\0\xff" * 1000

    guest.python(CONFIGURE)
    with pytest.raises(WaitTimeoutError, match="port 7777 open"):
        guest.wait_for_open_port(7777, timeout_s=0.5)
    guest.python(SERVE)
    guest.wait_for_open_port(7777, timeout_s=BOOT_S)
    said = wait_until(lambda: talk(machine.forwarded_port(7777)), "the server is reached")
    assert said == b"hello from the guest"

    machine.set_link(False)
    guest.wait_until_succeeds(["/usr/bin/python3", "-c", carrier_is(0)], timeout_s=BOOT_S)
    machine.set_link(True)
    guest.wait_until_succeeds(["/usr/bin/python3", "-c", carrier_is(1)], timeout_s=BOOT_S)
    wait_until(lambda: talk(machine.forwarded_port(7777)), "the server is reached again")

    with pytest.raises(MachineEndedError, match=r"ended \(guest-shutdown\)"):
        guest.python(POWER + "power_off()")
    assert not machine.is_running


def test_a_restart_is_noticed_and_the_agent_returns(machine: QemuMachine) -> None:
    first = machine.wait_for_console_text("init: Python is up", timeout_s=BOOT_S)
    with pytest.raises(GuestError, match="agent was restarted"):
        machine.guest.python(POWER + "restart()", timeout_s=BOOT_S)
    assert machine.wait_for_event("RESET", timeout_s=BOOT_S)
    machine.wait_for_console_text("init: Python is up", BOOT_S, since=first.number + 1)
    assert machine.guest.python("print('again')") == "again\n"


def test_a_panic_ends_every_wait(machine: QemuMachine) -> None:
    machine.guest.python(POWER + 'load("pvpanic", "pvpanic-mmio")')
    with pytest.raises(MachineEndedError, match="the guest panicked"):
        machine.guest.write_file("/proc/sysrq-trigger", b"c")
    machine.wait_for_event("GUEST_PANICKED", timeout_s=BOOT_S)
    wait_until(
        lambda: "Kernel panic" in (machine.why_ended() or ""), "the panic's line is reported"
    )


def test_the_power_button_reaches_the_guest(machine: QemuMachine) -> None:
    wait_for_button = (
        'load("evdev", "button")\n'
        "import glob, os\n"
        "paths = glob.glob('/sys/class/input/event*/device/name')\n"
        "names = {open(path).read().strip(): path for path in paths}\n"
        "path = '/dev/input/' + names['Power Button'].split('/')[4]\n"
        "handle = os.open(path, os.O_RDONLY)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    null = os.open('/dev/null', os.O_RDWR)\n"
        "    for number in range(3): os.dup2(null, number)\n"
        "    os.read(handle, 24)\n"
        "    power_off()\n"
    )
    machine.guest.python(POWER + wait_for_button)
    machine.shutdown(timeout_s=BOOT_S)
    assert machine.why_ended() == "the machine has ended (guest-shutdown)"


def test_uefi_and_more_than_one_initrd(linux: KernelBoot, tmp_path: Path) -> None:
    """The kernel finds every archive, even after one with an odd length."""
    need_uefi()
    from tests.helpers.vm.cpio import archive

    extra = tmp_path / "extra"
    extra.write_bytes(archive({"extra/file": b"more"}) + b"\0")
    boot = KernelBoot(linux.kernel, (extra, *linux.initrds, extra), linux.append)
    nics = (Nic(is_connected=False), Nic())
    with QemuMachine(config_of(boot, firmware="uefi", nics=nics)) as machine:
        machine.guest.wait_until_ready(BOOT_S)
        assert machine.guest.read_file("/extra/file") == b"more"
        machine.guest.wait_for_file("/sys/firmware/efi", timeout_s=1)
        cards = "import os; print(len(os.listdir('/sys/bus/pci/drivers/virtio-pci')))"
        assert machine.guest.python(cards)


def carrier_is(value: int) -> str:
    """Return Python code that fails unless the network card's carrier is `value`."""
    return f"assert open('/sys/class/net/eth0/carrier').read().strip() == '{value}'"


def talk(port: int) -> bytes:
    """Return the data that the server behind `port` sends, or nothing."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as link:
        return link.recv(100)
    return b""
