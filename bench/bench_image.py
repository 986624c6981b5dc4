"""How small is a release, and how soon is it built and ready, compared with Debian's own makers of
an initramfs?

All boot the same kernel in the same machine, in turns, and run the same service, a script that
prints READY. Only the ratios count: on a shared machine, absolute times mean little.
"""

import base64
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.helpers import (
    Aim,
    need,
    need_root,
    read_options,
    render,
    render_aims,
    run,
    scratch_folder,
    take_time,
    talk,
)
from bench.image_peers import COMMANDS, READY, SCRIPT, Peers, prepare_peers
from common.paths import cache_root
from image.formats.cpio import write_archive
from image.model import File
from image.tree import Tree
from qemu.machine import QemuMachine
from qemu.model import KernelBoot, MachineConfig

PROFILES = ("virt", "metal")
FETCHED = ("debian", "pool", "wheels")
SERVICE = f"exec: /{READY}\noneshot: true\n"
# The others look for a root file system; the service has run long before they give up.
APPEND = "console=ttyS0 panic=-1 runmode=dev farmer_id=1 root=LABEL=none"
INIT_LINE = re.compile(r"\[ *([\d.]+)\] Run /init as init process")
READY_LINE = re.compile(r"READY ([\d.]+) (\d+)")
MEMORY_MIB = 2048
BOOT_S = 600
DRACUT = "dracut"
SIZES = (
    Aim("initramfs of metal / dracut, hostonly off", "metal", DRACUT, 1),
    Aim("initramfs of metal / initramfs-tools", "metal", "initramfs-tools"),
    Aim("initramfs of metal / mkosi-initrd", "metal", "mkosi-initrd"),
    Aim("initramfs of virt / dracut, hostonly off", "virt", DRACUT),
)
READY_AIMS = (
    Aim("kernel to ready, metal / dracut with systemd", "metal", DRACUT, 0.333),
    Aim("kernel to ready, metal / initramfs-tools", "metal", "initramfs-tools"),
    Aim("kernel to ready, metal / mkosi-initrd", "metal", "mkosi-initrd"),
    Aim("kernel to ready, virt / dracut with systemd", "virt", DRACUT, 0.333),
)
OTHERS = (Aim("virt / dracut", "virt", DRACUT), Aim("metal / dracut", "metal", DRACUT))


class Boot(NamedTuple):
    """What was measured of one boot."""

    init_s: float  # from the start of the kernel
    ready_s: float
    used_mib: float


def main() -> int:
    """Measure and print."""
    options = read_options("image", __doc__, "one round")
    need_root("install the peers in a tree of their own")
    need("mmdebstrap", "qemu-system-x86_64", "unshare")
    rounds = 1 if options.quick else 3
    peers = prepare_peers()
    with scratch_folder("image") as folder:
        images, build_s = build_all(peers, folder)
        sizes = {name: size_of(files) / 1e6 for name, files in images.items()}
        boots = boot_all(peers, images, folder, rounds)
    results = {
        "size, MB": sizes,
        "build, s": build_s,
        **summarise(boots),
    }
    print(json.dumps(results) if options.json else describe(results))
    return 0


def build_all(peers: Peers, folder: Path) -> tuple[dict[str, list[Path]], dict[str, float]]:
    """Return the images of all, and the times that they took, from packages that are there."""
    images: dict[str, list[Path]] = {}
    build_s: dict[str, float] = {}

    def take(name: str, work: Callable[[], object]) -> None:
        build_s[name] = take_time(work)
        talk(f"  {name}: {build_s[name]:.1f} s")

    overlay = write_overlay(folder / "overlay", peers)
    for profile in PROFILES:
        cache = empty_cache(folder / f"cache-{profile}")
        take(profile, partial(build_ours, profile, folder / profile, cache))
        again = partial(build_ours, profile, folder / "again", cache, folder / "flist.pub")
        take(f"{profile} with another key", again)
        images[profile] = [folder / profile / "initramfs.zst", overlay]
    for name in COMMANDS:
        try:
            take(name, partial(peers.build, name, folder / name))
        except RuntimeError as error:
            talk(f"{name} is left out: {error}")
        else:
            images[name] = [folder / name]
    return images, build_s


def build_ours(profile: str, release: Path, cache: Path, key: Path | None = None) -> None:
    """Build a release. A new key, written to `key`, changes our own layer and no other."""
    words = ["image", "build", "--profile", profile, "--output", str(release)]
    if key:
        key.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
        words += ["--flist-key", str(key)]
    run("env", f"ZOS_CACHE={cache}", sys.executable, "-m", "zero_os", *words)


def empty_cache(folder: Path) -> Path:
    """Return a cache that has what was fetched, and nothing that was built."""
    folder.mkdir()
    for name in FETCHED:
        (cache_root() / name).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(cache_root() / name)
    return folder


def write_overlay(path: Path, peers: Peers) -> Path:
    """Write what is added to our release: the service, and the shell that it needs."""
    tree = Tree()
    tree.add("usr/bin/sh", File(peers.shell.read_bytes(), 0o755))
    tree.add(READY, File(SCRIPT.encode(), 0o755))
    tree.add("etc/zinit/ready.yaml", File(SERVICE.encode()))
    path.write_bytes(write_archive(tree, 0))
    return path


def size_of(files: list[Path]) -> int:
    """Return the size of an image, without what this benchmark adds to it."""
    return files[0].stat().st_size


def boot_all(
    peers: Peers, images: dict[str, list[Path]], folder: Path, rounds: int
) -> dict[str, list[Boot]]:
    """Boot every image once per round, in turns."""
    boots: dict[str, list[Boot]] = {name: [] for name in images}
    for number in range(rounds):
        for name, files in images.items():
            boot = KernelBoot(peers.vmlinuz, tuple(files), APPEND)
            boots[name].append(boot_once(boot, folder / "machine"))
            talk(f"  round {number + 1}: {name} {boots[name][-1]}")
    return boots


def boot_once(boot: KernelBoot, artefacts: Path) -> Boot:
    """Boot a machine until its service has run. The times are of the guest's own clock."""
    config = MachineConfig(boot, memory_mib=MEMORY_MIB, acceleration="tcg")
    with QemuMachine(config, artefacts=artefacts) as machine:
        found = READY_LINE.search(machine.wait_for_console_text(READY_LINE, BOOT_S).text)
        init = INIT_LINE.search(machine.wait_for_console_text(INIT_LINE, BOOT_S).text)
    assert found
    assert init
    return Boot(float(init[1]), float(found[1]), int(found[2]) / 1024)


def summarise(boots: dict[str, list[Boot]]) -> dict[str, dict[str, float]]:
    """Return the medians of each stage."""

    def medians(choose: Callable[[Boot], float]) -> dict[str, float]:
        return {name: statistics.median(map(choose, rows)) for name, rows in boots.items()}

    return {
        "kernel to init, s": medians(lambda boot: boot.init_s),
        "init to ready, s": medians(lambda boot: boot.ready_s - boot.init_s),
        "kernel to ready, s": medians(lambda boot: boot.ready_s),
        "memory used when ready, MiB": medians(lambda boot: boot.used_mib),
    }


def describe(results: dict[str, dict[str, float]]) -> str:
    """Return the tables and ratios."""
    aims = {"size, MB": SIZES, "kernel to ready, s": READY_AIMS}
    parts = []
    for title, rows in results.items():
        what, unit = title.rsplit(", ", 1)
        parts += [render(what, rows, unit), render_aims(aims.get(title, OTHERS), rows)]
    return "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
