"""A release on a machine: all of its parts work, with two models of network card.

A program of the test replaces /init; zinit and the node's services have other tests.
"""

from pathlib import Path

import pytest

from image.model import Release
from qemu.model import Nic
from tests.helpers.needs import need_tool
from tests.helpers.vm.node import boot_node

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
BOOT_S = 600
TOO_LITTLE_MIB = 144

STAND_IN = """#!/usr/bin/python3 -IS
import sys, time
started = time.clock_gettime(time.CLOCK_BOOTTIME)
import ctypes, importlib, os, runpy, traceback
sys.path.append("/usr/lib/zero-os")
libc = ctypes.CDLL(None, use_errno=True)

def say(*words):
    print("stand-in:", *words, flush=True)

def attempt(what, work):
    try:
        say("ok" if work() in (None, 0) else "FAILED", what)
    except BaseException:
        traceback.print_exc()
        say("FAILED", what)

def run(*words):
    pid = os.posix_spawn(words[0], words, os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def mount(kind, place):
    return libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None)

def authorities():
    import ssl
    return len(ssl.create_default_context().get_ca_certs()) < 100

def sign():
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    key = Ed25519PrivateKey.generate()
    key.public_key().verify(key.sign(b"x"), b"x")

def unpack():
    import cramjam, zstandard
    assert zstandard.decompress(zstandard.compress(b"x" * 99)) == b"x" * 99
    assert bytes(cramjam.snappy.decompress_raw(cramjam.snappy.compress_raw(b"x" * 99))) == b"x" * 99

def load_yaml():
    import yaml
    assert yaml.load("a: on", yaml.CBaseLoader) == {"a": "on"}

def query():
    import sqlite3
    assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)

def load_devices():
    folders = [at for at, _, names in os.walk("/sys/devices") if "modalias" in names]
    names = [open(f"{at}/modalias").read().strip() for at in folders]
    run("/sbin/modprobe", "-a", "-b", "-q", *names)
    deadline = time.monotonic() + 120
    while "eth0" not in os.listdir("/sys/class/net"):
        assert time.monotonic() < deadline, os.listdir("/sys/class/net")
        time.sleep(0.1)

say("started", started)
for kind, place in (("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")):
    attempt(f"mount {kind}", lambda: mount(kind, place))
for name in ("pyroute2", "urllib3", "zinit.boot", "node.cli", "flist.cli"):
    attempt(f"import {name}", lambda: importlib.import_module(name) and None)
for work in (authorities, sign, unpack, load_yaml, query):
    attempt(work.__name__, work)
for name in ("fuse", "overlay", "squashfs", "btrfs", "nvme", "wireguard", "nf_tables", "bonding"):
    attempt(f"modprobe {name}", lambda: run("/sbin/modprobe", name))
attempt("network card", load_devices)
attempt("zos --help", lambda: run("/usr/bin/zos", "--help"))
say("done")
libc.reboot(0x4321FEDC)
"""


@pytest.mark.parametrize("model", ["virtio-net-pci", "e1000"])
def test_everything_in_a_release_works(release: Release, artefacts: Path, model: str) -> None:
    need_tool("qemu-system-x86_64")
    with boot_node(
        release,
        artefacts,
        append="rdinit=/stand-in quiet",  # kernel messages could split the program's lines
        files={"stand-in": STAND_IN},
        nics=(Nic(model=model),),
    ) as machine:
        machine.wait_for_console_text("stand-in: done", timeout_s=BOOT_S)
    said = (artefacts / "console.log").read_text(errors="replace")
    assert "stand-in: FAILED" not in said, said[-4000:]
    assert said.count("stand-in: ok") == 23, said[-4000:]


def test_a_machine_with_too_little_memory_says_so(release: Release, artefacts: Path) -> None:
    need_tool("qemu-system-x86_64")
    with boot_node(release, artefacts, memory_mib=TOO_LITTLE_MIB) as machine:
        machine.wait_for_console_text("zinit: too little memory", timeout_s=BOOT_S)
        machine.wait_for_console_text("a node needs 512 MiB", timeout_s=BOOT_S)
    assert "Kernel panic" not in (artefacts / "console.log").read_text(errors="replace")
