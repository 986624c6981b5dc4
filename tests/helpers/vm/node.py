"""Boots a node directly from a release's kernel, with files that a test adds."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import zstandard

import qemu.agent
from common.debian.architecture import ARCHITECTURES
from image.formats.cpio import write_archive
from image.model import File, Release
from image.tree import Tree
from qemu.machine import QemuMachine
from qemu.model import Architecture, Disk, KernelBoot, MachineConfig, Nic

AGENT_SERVICE = "exec: /usr/bin/python3 -IS /test/agent.py\n"
BOOT_S = 240
CORE_S = 900  # nine daemons in Python start at once, on an emulated processor


@contextlib.contextmanager
def boot_node(
    release: Release,
    folder: Path,
    *,
    append: str = "",
    files: Mapping[str, str] | None = None,
    has_agent: bool = False,
    nics: tuple[Nic, ...] = (Nic(),),
    forwards: tuple[int, ...] = (),
    architecture: Architecture = "amd64",
    is_uki: bool = False,
    memory_mib: int = 2048,
    disks: tuple[Disk, ...] = (),
    tpm_state: Path | None = None,
    extra_args: tuple[str, ...] = (),
) -> Iterator[QemuMachine]:
    """Boot `release` with the kernel parameters `append`; add `files` (path -> text) to it.

    With `is_uki` it is zos.efi that boots. The console's log is written to `folder`. `has_agent`
    makes `machine.guest` work. With `tpm_state` it has a TPM that keeps what it remembers there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    extra = dict(files or {})
    if has_agent and not release.version.endswith(".debug"):  # such a release has it
        extra["test/agent.py"] = Path(qemu.agent.__file__).read_text()
        extra["etc/zinit/agent.yaml"] = AGENT_SERVICE
    initrds = [] if is_uki else [release.folder / "initramfs.zst"]
    if extra:
        initrds.append(write_overlay(folder / "overlay.zst", extra))
    words = f"console={ARCHITECTURES[architecture].console} panic=-1 {append}"
    kernel = release.folder / ("zos.efi" if is_uki else "vmlinuz")
    boot = KernelBoot(kernel, tuple(initrds), words)
    config = MachineConfig(
        boot=boot,
        architecture=architecture,
        firmware="bios" if architecture == "amd64" else "uefi",
        memory_mib=memory_mib,
        nics=nics,
        forwards=forwards,
        has_agent=has_agent,
        disks=disks,
        has_tpm=tpm_state is not None,
        tpm_state=tpm_state,
        extra_args=extra_args,
    )
    with QemuMachine(config, artefacts=folder) as machine:
        yield machine


def write_overlay(path: Path, files: Mapping[str, str]) -> Path:
    """Write an initramfs with only `files`, to be appended to a release's own."""
    tree = Tree()
    for name, text in files.items():
        tree.add(name, File(text.encode(), 0o755 if text.startswith("#!") else 0o644))
    path.write_bytes(zstandard.ZstdCompressor().compress(write_archive(tree, 0)))
    return path
