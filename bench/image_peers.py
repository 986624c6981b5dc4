"""Debian's own makers of an initramfs, in a Debian 13 tree, with the kernel of our profile `metal`.

Each makes one image that boots any machine, with the same service in it: a script that prints READY
on the console.
"""

import shutil
from pathlib import Path

from bench.helpers import DEADLINE_S, run, talk
from common.debian.fetch import fetch_locked
from common.debian.lock import DebianLock
from common.locks import hold_lock
from common.paths import cache_dir
from image.lock.model import find_request, load_lock
from tests.fresh_machine import ENTER, copy_host_configuration

PACKAGES = ("cpio", "dracut-core", "initramfs-tools-core", "kmod", "mkosi", "systemd-sysv", "udev",
            "zstd")  # fmt: skip
LOCKED = ("./boot/*", "./usr/lib/firmware/*", "./usr/lib/modules/*")
OUTPUT = "bench"
SHELL = "usr/bin/dash"
READY = "usr/bin/ready"
SCRIPT = """#!/bin/sh
read up rest < /proc/uptime
while read key value rest; do
  case $key in MemTotal:) total=$value;; MemAvailable:) free=$value;; esac
done < /proc/meminfo
echo "READY $up $((total - free))" > /dev/console
"""
UNIT = f"[Service]\nType=oneshot\nExecStart=/{READY}\n"
# A script of initramfs-tools is asked first what must run before it.
PREFIX = '#!/bin/sh\n[ "$1" = prereqs ] && exit 0\n'
COPY = f'mkdir -p "$DESTDIR/usr/bin"\ncp -p /{READY} "$DESTDIR/usr/bin/"\n'
EXTRA = "usr/share/bench"
UNITS = f"{EXTRA}/usr/lib/systemd/system"
FILES = {
    READY: SCRIPT,
    f"{EXTRA}/{READY}": SCRIPT,
    f"{UNITS}/ready.service": UNIT,
    # mkosi-initrd alone would take the modules of the machine that builds.
    "etc/mkosi-initrd/mkosi.conf": "[Content]\nKernelModulesInclude=default\n",
    "etc/initramfs-tools/hooks/ready": PREFIX + COPY,
    # The last step before a root file system is looked for; the drivers are loaded then.
    "etc/initramfs-tools/scripts/init-premount/ready": f"{PREFIX}/{READY}\n",
}
COMMANDS = {
    "initramfs-tools": f"mkinitramfs -o /{OUTPUT}/initramfs-tools {{kernel}}",
    "dracut": (
        "dracut --quiet --force --no-hostonly --zstd --kver {kernel}"
        f" --include /{EXTRA} / /{OUTPUT}/dracut"
    ),
    "mkosi-initrd": (
        "mkosi-initrd --kernel-version {kernel} --format cpio"
        f" --output mkosi-initrd --output-dir /{OUTPUT}"
    ),
}


class Peers:
    """The tree with the peers, and its kernel."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kernel = next((root / "usr/lib/modules").iterdir()).name

    @property
    def vmlinuz(self) -> Path:
        """Return the kernel that all boot."""
        return self.root / f"boot/vmlinuz-{self.kernel}"

    @property
    def shell(self) -> Path:
        """Return the shell that runs the service."""
        return self.root / SHELL

    def build(self, name: str, place: Path) -> None:
        """Make the image of one peer and move it to `place`."""
        shutil.rmtree(self.root / OUTPUT, ignore_errors=True)
        (self.root / OUTPUT).mkdir()
        self.enter(COMMANDS[name].format(kernel=self.kernel))
        shutil.move(self.root / OUTPUT / name, place)

    def enter(self, command: str) -> None:
        """Run a command inside the tree, in namespaces of its own."""
        spaces = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child"]
        inside = ["env", "-i", "HOME=/root", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        run(*spaces, "sh", "-c", ENTER, "sh", self.root, *inside, *command.split())


def prepare_peers() -> Peers:
    """Return the tree, which is kept in the user's cache for this kernel."""
    lock = load_lock(find_request("metal")).debian
    root = cache_dir("bench") / f"peers-{lock.identity[:16]}"
    with hold_lock(root.with_suffix(".lock"), "preparing the peers", 2 * DEADLINE_S):
        if not root.exists():
            talk("installing the peers in a Debian 13 tree (once)")
            new = root.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            make_root(new, lock)
            new.rename(root)
    return Peers(root)


def make_root(root: Path, lock: DebianLock) -> None:
    """Create the tree: the peers' packages, our kernel and firmware, the service."""
    include = f"--include={','.join(PACKAGES)}"
    run("mmdebstrap", "--quiet", "--variant=minbase", include, lock.suite, root)
    archive = fetch_locked(lock, progress=talk)
    run("tar", "-xf", archive, "-C", root, "--wildcards", *LOCKED)
    copy_host_configuration(root)
    for path, text in FILES.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755 if text.startswith("#!") else 0o644)
    wants = root / UNITS / "initrd.target.wants"
    wants.mkdir()
    (wants / "ready.service").symlink_to("../ready.service")
    shutil.copytree(root / EXTRA, root / "etc/mkosi-initrd/mkosi.extra", symlinks=True)
    run("chroot", root, "depmod", Peers(root).kernel)
    Peers(root).enter("apt-get -q update")  # mkosi-initrd takes the package lists as they are
