"""Loads kernel and initramfs of the release that the channel holds, so that a reboot starts them
without the firmware.

Both come from the bootstrap server, and must have the digests that the channel's keys have signed.
It is refused where somebody else has to vouch for what starts: where the release closes the kernel,
and on a machine with a TPM, whose registers would go on telling of the kernel that the firmware
started. Under Secure Boot the kernel itself takes only what its keys have signed.
"""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.errors import ZosError
from common.releases.channel import Channel
from common.releases.layout import boot_version
from common.releases.manifest import Manifest
from node.channel import reading
from node.generations.machine import BusyError
from node.lockdown import KEXEC, SYSCTL
from node.log import log as write_log
from node.model import BootParameters, NodeError

NAMES = ("vmlinuz", "initramfs.zst")
CALLS = {"x86_64": 320, "aarch64": 294}  # kexec_file_load(2)
LINE_MAX_BYTES = 2047  # COMMAND_LINE_SIZE of Linux, less its NUL
Check = Callable[[], tuple[Channel, Manifest | None]]

log = partial(write_log, "bringup")


UNLOAD = 1  # KEXEC_FILE_UNLOAD


def kexec_unload() -> None:
    """Forget a kernel that was loaded, if one was. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(CALLS[os.uname().machine])
    if libc.syscall(number, -1, -1, ctypes.c_ulong(0), None, ctypes.c_ulong(UNLOAD)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def kexec_file_load(kernel: int, initramfs: int, line: bytes) -> None:
    """Load a kernel: two open files, which nobody may have open for writing. Raises `OSError`."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_long(CALLS[os.uname().machine])
    size = ctypes.c_ulong(len(line) + 1)
    if libc.syscall(number, kernel, initramfs, size, line, ctypes.c_ulong(0)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


@dataclass(frozen=True)
class Machine:
    """Where the kernel says what it allows, and how another one is loaded."""

    switch: Path = SYSCTL / KEXEC
    tpms: Path = Path("/sys/class/tpm")
    command_line: Path = Path("/proc/cmdline")
    folder: Path = Path("/run/zero-os")
    load: Callable[[int, int, bytes], None] = kexec_file_load
    unload: Callable[[], None] = kexec_unload


class Kexec:
    """Another kernel for this node; `check` reads its channel, None if it has none."""

    def __init__(
        self, parameters: BootParameters, check: Check | None, machine: Machine | None = None
    ) -> None:
        self.parameters = parameters
        self.check = check
        self.machine = machine or Machine()
        self.failures: dict[str, str] = {}

    def fault(self, wanted: str) -> str:
        """Return why a node should not load the version `wanted` by itself, "" if it may.

        What failed once is left to a reboot through the firmware.
        """
        return self.bar() or self.failures.get(wanted, "")

    def bar(self) -> str:
        """Return why no other kernel may be loaded, "" if one may."""
        if not self.parameters.kexec:
            return "update.kexec=yes is not on the kernel's command line"
        if self.check is None:
            return "the node's image trusts no channel"
        try:
            if self.machine.switch.read_text().strip() != "0":
                return "the release closes the kernel (lockdown)"
        except OSError:
            return "the kernel can't"
        if any(self.machine.tpms.glob("*")):
            return "the machine's TPM vouches for the kernel that the firmware started"
        return ""

    def load(self, wanted: str) -> None:
        """Load the version `wanted`. Raises `ZosError`; then nothing is loaded."""
        if (fault := self.bar()) or self.check is None:
            hint = "reboot without kexec"
            raise BusyError(f"cannot start another kernel without the firmware: {fault}", hint=hint)
        channel, manifest = self.check()
        if manifest is None or boot_version(channel.release) != wanted:
            raise BusyError(f"cannot start {wanted}: the channel has changed", hint="look again")
        try:
            self.fetch(channel, self.line(manifest))
        except (ZosError, OSError) as error:
            reason = error.message if isinstance(error, ZosError) else str(error)
            self.failures = {wanted: f"it failed before: {reason}"}
            if isinstance(error, ZosError):
                raise
            raise NodeError(f"cannot load another kernel: {reason}") from error
        log(f"update: kernel and initramfs of {wanted} are loaded; the next reboot starts them")

    def unload(self) -> None:
        """Forget a kernel that was loaded for a reboot that did not happen."""
        if self.parameters.kexec:
            with contextlib.suppress(OSError):
                self.machine.unload()

    def fetch(self, channel: Channel, line: str) -> None:
        """Fetch both files, verified, and give them to the kernel."""
        parameters, folder = self.parameters, self.machine.folder
        with (
            tempfile.TemporaryDirectory(dir=folder, prefix="kexec-") as place,
            reading(parameters.bootstrap, channel.name, parameters.proxy) as fetcher,
        ):
            paths = [Path(place) / name for name in NAMES]
            for path in paths:
                with open(path, "wb") as stream:
                    fetcher.save(channel, path.name, stream)
            self.hand_over(paths, line)

    def hand_over(self, paths: list[Path], line: str) -> None:
        """Give the files to the kernel."""
        with open(paths[0], "rb") as kernel, open(paths[1], "rb") as initramfs:
            try:
                self.machine.load(kernel.fileno(), initramfs.fileno(), os.fsencode(line))
            except OSError as error:
                raise NodeError(
                    "cannot start another kernel without the firmware: the kernel has refused one:"
                    f" {error.strerror}",
                    hint="under Secure Boot the kernel takes only what its keys have signed",
                ) from error

    def line(self, manifest: Manifest) -> str:
        """Return the command line that runs, with what the new release needs."""
        line = self.machine.command_line.read_text(errors="surrogateescape").strip()
        missing = [word for word in manifest.parameters if word not in line.split()]
        line = " ".join([line, *missing])
        if len(os.fsencode(line)) > LINE_MAX_BYTES:
            raise NodeError("cannot start another kernel: its command line would be too long")
        return line
