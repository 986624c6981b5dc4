"""Bring-up of a node: bad signatures, an unreachable hub, several network cards, a lost mount.

The kernel is booted directly; test_boot.py covers firmware and iPXE.
"""

import re
import shutil
import socket
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from flist.hub.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import Nic
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import NAME, LocalHub
from zero_os.boot.redis import ping

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
REDIS_PORT = 6379
REFUSED = f"flist {NAME} refused"


def node(
    release: Release, hub_port: int, artefacts: Path, nics: tuple[Nic, ...] = (Nic(),)
) -> AbstractContextManager[QemuMachine]:
    """Boot a node of farm 1 whose hub is this machine's `hub_port`."""
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{hub_port}"
    return boot_node(release, artefacts, append=words, nics=nics, forwards=(REDIS_PORT,))


def answers(machine: QemuMachine) -> bool:
    """Return whether the node's Redis answers."""
    try:
        return ping("127.0.0.1", machine.forwarded_port(REDIS_PORT)) == "PONG"
    except OSError:
        return False


def copy_hub(hub: LocalHub, target: Path) -> Path:
    """Copy the flist of `hub` to `target`, with the same blocks; return the flist."""
    flist = target / "flists" / f"{NAME}.fl"
    flist.parent.mkdir(parents=True)
    for source in (hub.flist, hub.flist.with_suffix(".fl.sig")):
        shutil.copyfile(source, flist.parent / source.name)
    (target / "blocks").symlink_to(hub.root / "blocks")
    return flist


def test_a_hub_that_is_down_then_wrong_then_right(
    release: Release, hub: LocalHub, tmp_path: Path, artefacts: Path
) -> None:
    """The node waits for a hub that is down. It never mounts an unsigned or altered flist, and the
    console shows the reason. When the hub is repaired, the node needs no reboot.
    """
    flist = copy_hub(hub, tmp_path / "hub")
    signature = flist.with_suffix(".fl.sig")
    signature.unlink()
    app, door = CountedApp(create_app(tmp_path / "hub")), socket.socket()
    door.bind(("127.0.0.1", 0))  # nothing listens yet: connections are refused
    with door, node(release, door.getsockname()[1], artefacts) as machine:
        first = machine.wait_for_console_text("the hub does not answer", timeout_s=BOOT_S)
        machine.wait_for_console_text(
            "the hub does not answer", timeout_s=BOOT_S, since=first.number + 1
        )
        door.listen()
        with serve_in_thread(app, door):
            machine.wait_for_console_text(".fl.sig: the hub answered 404", timeout_s=BOOT_S)
            machine.wait_for_console_text("trying again in", timeout_s=BOOT_S)
            assert app.requests[f"/{NAME}.fl"] == 0

            flip_a_byte(flist)
            shutil.copyfile(hub.flist.with_suffix(".fl.sig"), signature)
            refusal = machine.wait_for_console_text(REFUSED, timeout_s=BOOT_S)
            machine.wait_for_console_text(REFUSED, timeout_s=BOOT_S, since=refusal.number + 1)
            assert not any("flist mounted" in line.text for line in machine.console_lines())
            assert app.bytes_below("/blocks/") == 0

            shutil.copyfile(hub.flist, flist)
            machine.wait_for_console_text("flist mounted", timeout_s=BOOT_S)
            machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
            wait_until(lambda: answers(machine), "Redis answers", BOOT_S)


def flip_a_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_every_wired_card_is_tried(release: Release, hub: LocalHub, artefacts: Path) -> None:
    """The first card's network is silent; the second card, another model, has a DHCP server."""
    cards = (Nic(is_connected=False), Nic(model="e1000"))
    app, listener = create_app(hub.root), open_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with serve_in_thread(app, listener), node(release, port, artefacts, nics=cards) as machine:
        machine.wait_for_console_text(re.compile(r"trying eth\d \(virtio_net"), timeout_s=BOOT_S)
        tried = re.compile(r"trying (eth\d) \(e1000")
        card = tried.search(machine.wait_for_console_text(tried, timeout_s=BOOT_S).text)
        assert card
        machine.wait_for_console_text(f"up: {card[1]}: 10.0.2.15/24", timeout_s=BOOT_S)
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)


@pytest.mark.matrix
def test_of_several_hubs_one_that_answers_is_used(
    release: Release, hub: LocalHub, tmp_path: Path, artefacts: Path
) -> None:
    """The first hub is down, the second has an altered flist, the third is good."""
    flip_a_byte(copy_hub(hub, tmp_path / "altered"))
    altered, good = open_listener("127.0.0.1", 0), open_listener("127.0.0.1", 0)
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))  # nothing listens: connections are refused
        ports = [door.getsockname()[1] for door in (dead, altered, good)]
        hubs = ",".join(f"http://10.0.2.2:{port}" for port in ports)
        words = f"runmode=dev farmer_id=1 hub={hubs}"
        with (
            serve_in_thread(create_app(tmp_path / "altered"), altered),
            serve_in_thread(create_app(hub.root), good),
            boot_node(release, artefacts, append=words, forwards=(REDIS_PORT,)) as machine,
        ):
            fetched = f"fetched from http://10.0.2.2:{ports[2]}"
            machine.wait_for_console_text(fetched, timeout_s=BOOT_S)
            machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
            wait_until(lambda: answers(machine), "Redis answers", BOOT_S)


INSIDE = """
import os, pathlib
(pid,) = [p for p in os.listdir("/proc") if p.isdigit()
          and pathlib.Path("/proc", p, "comm").read_text().strip() == "redis-server"]
print(os.readlink(f"/proc/{pid}/root"))
"""
WRITE = """
from pathlib import Path
(top,) = Path("/run/zero-os/flists").glob("*")
root, lower = top / "root/etc/zos-test", top / "lower/etc/zos-test"
root.write_text("written")
print(root.read_text(), lower.exists())
"""


CLOSED = """
import errno, os
from pathlib import Path
folder = Path("/proc/sys/kernel")
for name in ("sysrq", "kexec_load_disabled", "modules_disabled"):
    print((folder / name).read_text().strip())
print("loaded" if Path("/sys/module/wireguard").exists() else "missing")
try:
    (folder / "modules_disabled").write_text("0")
except OSError as error:
    print(errno.errorcode[error.errno])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
module = next(Path("/usr/lib/modules").glob("*/kernel/drivers/net/vmxnet3/*.ko*"))
with open(module, "rb") as stream:
    libc.syscall(313, stream.fileno(), b"", 4)  # finit_module of a compressed module
print(errno.errorcode[ctypes.get_errno()])
"""


def test_services_run_inside_the_flist_and_a_lost_mount_is_repaired(
    release: Release, hub: LocalHub, artefacts: Path
) -> None:
    """The kernel is closed by then, although the command line would open it."""
    app, listener = create_app(hub.root), open_listener("127.0.0.1", 0)
    words = f"runmode=dev farmer_id=1 hub=http://10.0.2.2:{listener.getsockname()[1]}"
    words += " sysctl.kernel.sysrq=1 sysctl.kernel.modules_disabled=0"
    with (
        serve_in_thread(app, listener),
        boot_node(
            release, artefacts, append=words, forwards=(REDIS_PORT,), has_agent=True
        ) as machine,
    ):
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S)
        guest = machine.guest
        wait_until(lambda: is_inside(machine), "Redis runs inside", BOOT_S)
        assert guest.python(WRITE).split() == ["written", "False"]
        machine.wait_for_console_text("lockdown: the kernel takes no more", timeout_s=BOOT_S)
        assert guest.python(CLOSED).split() == ["0", "1", "1", "loaded", "EINVAL", "EPERM"]

        position = machine.console.position
        (mount,) = re.findall("flist-[0-9a-f]{16}", guest.succeed(["zinit", "list"]))
        guest.succeed(["zinit", "kill", mount, "SIGKILL"])
        machine.wait_for_console_text("bringup: node ready", timeout_s=BOOT_S, since=position)
        wait_until(lambda: answers(machine), "Redis answers again", BOOT_S)
        wait_until(lambda: is_inside(machine), "Redis runs inside again", BOOT_S)


def is_inside(machine: QemuMachine) -> bool:
    """Return whether Redis runs with the flist as its root."""
    place = machine.guest.python(INSIDE).strip()
    return bool(re.fullmatch("/run/zero-os/flists/[0-9a-f]{16}/root", place))
