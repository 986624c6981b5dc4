"""A small Linux guest: Debian's cloud kernel, Python as PID 1, the agent."""

from pathlib import Path

from common.debian.archive import open_archive
from common.debian.fetch import fetch_packages
from common.debian.programs import LIBRARY_FOLDER
from qemu import agent
from qemu.model import KernelBoot
from tests.helpers.vm.cpio import Content, Node, archive

PACKAGES = ("libpython3.13-stdlib", "linux-image-cloud-amd64", "python3.13-minimal")
LIBRARIES = f"{LIBRARY_FOLDER}/"
NEEDED_LIBRARIES = ("ld-linux", "libc.so", "libm.so", "libz.so", "libexpat.so", "libffi.so")
# Modules in the order of their dependencies.
MODULES = ("failover", "net_failover", "virtio_net", "pvpanic", "pvpanic-mmio", "evdev", "button")
UNUSED = ("ensurepip/", "idlelib/", "pydoc_data/", "lib2to3/", "tkinter/", "turtledemo/", "test/")
STDLIB = "usr/lib/python3.13/"

INIT = b"""#!/usr/bin/python3.13 -IS
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for kind, place in (("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")):
    os.makedirs(place, exist_ok=True)
    libc.mount(kind.encode(), place.encode(), kind.encode(), 0, None)
os.makedirs("/tmp", exist_ok=True)
print("init: Python is up", flush=True)
sys.path.insert(0, "/lib/test")
import agent
sys.exit(agent.main())
"""

# A module for tests on the guest: `from node import ...`.
NODE = b'''"""Functions for tests, on the guest."""
import ctypes, fcntl, os, socket, struct
libc = ctypes.CDLL(None, use_errno=True)

def load(*names):
    for name in names:
        with open(f"/modules/{name}.ko.xz", "rb") as file:
            status = libc.syscall(313, file.fileno(), b"", 4)  # finit_module, compressed
            if status and ctypes.get_errno() != 17:
                raise OSError(ctypes.get_errno(), f"cannot load {name}")

def interface_up(name, address, netmask):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((0x8916, address), (0x891C, netmask)):
            text = struct.pack("16sHH4s8x", name.encode(), 2, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, text)
        fcntl.ioctl(control, 0x8914, struct.pack("16sH22x", name.encode(), 0x41))

def power_off():
    os.sync()
    libc.reboot(0x4321FEDC)

def restart():
    os.sync()
    libc.reboot(0x01234567)
'''


def make_linux(folder: Path, append: str = "") -> KernelBoot:
    """Write the guest's kernel and initramfs to `folder`; return how to boot them."""
    files: dict[str, Content | Node] = {
        "init": INIT,
        "lib/test/agent.py": Path(agent.__file__).read_bytes(),
        "lib/test/node.py": NODE,
        "dev/console": Node(5, 1),
        "dev/null": Node(1, 3),
        "dev/urandom": Node(1, 9),
        "lib64": "usr/lib64",
        "usr/bin/python3": "python3.13",
    }
    kernel = folder / "vmlinuz"
    modules = {name.replace("-", "_"): name for name in MODULES}
    with open_archive(fetch_packages(PACKAGES)) as packages:
        for path in packages.paths:
            member = packages.member(path)
            module = modules.get(Path(path).name.removesuffix(".ko.xz").replace("-", "_"))
            if path.startswith("boot/vmlinuz-"):
                kernel.write_bytes(packages.read(path))
            elif path.endswith(".ko.xz") and module:
                files[f"modules/{module}.ko.xz"] = packages.read(path)
            elif is_wanted(path) and not member.isdir():
                files[path] = member.linkname if member.issym() else packages.read(path)
    programs = frozenset({"init", "usr/bin/python3.13", *(name for name in files if ".so" in name)})
    initrd = folder / "initrd"
    initrd.write_bytes(archive(files, programs))
    # Quiet: kernel messages could otherwise split a line that a program prints.
    return KernelBoot(kernel, (initrd,), f"console=ttyS0 quiet panic=60 {append}".strip())


def is_wanted(name: str) -> bool:
    """Return whether the guest needs this file of its packages."""
    if name.startswith(STDLIB):
        return not name.removeprefix(STDLIB).startswith(UNUSED)
    if name.startswith(LIBRARIES):
        return name.removeprefix(LIBRARIES).startswith(NEEDED_LIBRARIES)
    return name in ("usr/bin/python3.13", "usr/lib64/ld-linux-x86-64.so.2")
