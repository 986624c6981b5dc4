"""What QEMU needs before it starts: checked images, private files, connected sockets."""

import contextlib
import shutil
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

from qemu.args import Wiring
from qemu.errors import MachineError
from qemu.firmware import find_uefi
from qemu.model import DiskBoot, IsoBoot, KernelBoot, MachineConfig, NetworkBoot, Nic, UsbBoot

SO_SNDBUFFORCE = 32  # <asm-generic/socket.h>
CONSOLE_BYTES = 16 << 20  # as the kernel counts, which is hundreds for each write
INITRD_ALIGNMENT = 4  # the kernel looks for the next cpio archive at a multiple of this


class Channel(NamedTuple):
    """A connected pair of sockets: our end, and the one that QEMU inherits."""

    ours: socket.socket
    theirs: socket.socket

    def close(self) -> None:
        """Close both ends."""
        self.ours.close()
        self.theirs.close()


def open_channel() -> Channel:
    """Create a connected pair of sockets."""
    return Channel(*socket.socketpair())


def open_console() -> Channel:
    """Create the pair of a serial port, to which QEMU writes each character by itself.

    Linux waits 10 ms for the port and then overwrites the last character, so what it prints at once
    must fit, or characters are lost whenever this process does not get to read. The usual buffer
    holds 278. Without the right to go beyond the system's limit, the buffer has that size.
    """
    channel = open_channel()
    for option in (socket.SO_SNDBUF, SO_SNDBUFFORCE):
        with contextlib.suppress(PermissionError):
            channel.theirs.setsockopt(socket.SOL_SOCKET, option, CONSOLE_BYTES)
    return channel


@dataclass(frozen=True)
class PrivateFiles:
    """Files that belong to one machine, in its own folder."""

    code: Path | None = None
    variables: Path | None = None
    initrd: Path | None = None


@dataclass(frozen=True)
class Channels:
    """The sockets between this process and one QEMU."""

    qmp: Channel
    console: Channel
    agent: Channel | None
    tpm: Channel | None
    cables: Mapping[int, socket.socket]  # by the number of the network card

    @classmethod
    def open(cls, *, has_agent: bool, has_tpm: bool = False, nics: Sequence[Nic] = ()) -> Self:
        """Create the sockets; the caller closes them."""
        with contextlib.ExitStack() as undo:
            qmp = undo.enter_context(contextlib.closing(open_channel()))
            console = undo.enter_context(contextlib.closing(open_console()))
            agent, tpm = (
                undo.enter_context(contextlib.closing(open_channel())) if is_wanted else None
                for is_wanted in (has_agent, has_tpm)
            )
            cables = {
                number: undo.enter_context(contextlib.closing(nic.network.plug()))
                for number, nic in enumerate(nics)
                if nic.network and nic.is_connected
            }
            undo.pop_all()
        return cls(qmp, console, agent, tpm, cables)

    def wiring(self, acceleration: str, files: PrivateFiles) -> Wiring:
        """Return what the command line must contain about sockets and files."""
        return Wiring(
            acceleration=acceleration,
            qmp_fd=self.qmp.theirs.fileno(),
            console_fd=self.console.theirs.fileno(),
            agent_fd=self.agent.theirs.fileno() if self.agent else None,
            tpm_fd=self.tpm.theirs.fileno() if self.tpm else None,
            code_file=files.code,
            vars_file=files.variables,
            initrd=files.initrd,
            cable_fds={number: cable.fileno() for number, cable in self.cables.items()},
        )

    def child_fds(self) -> list[int]:
        """Return the descriptors that QEMU inherits."""
        ends = [*(channel.theirs for channel in self._all()), *self.cables.values()]
        return [end.fileno() for end in ends]

    def close_child_ends(self) -> None:
        """Close QEMU's ends here, so that its death closes ours."""
        for channel in self._all():
            channel.theirs.close()
        for cable in self.cables.values():
            cable.close()
        if self.tpm:
            self.tpm.ours.close()  # the TPM's process has it

    def close(self) -> None:
        """Close everything; safe to call twice."""
        for channel in self._all():
            channel.close()
        for cable in self.cables.values():
            cable.close()

    def _all(self) -> list[Channel]:
        return [channel for channel in (self.qmp, self.console, self.agent, self.tpm) if channel]


def prepare_files(config: MachineConfig, folder: Path) -> PrivateFiles:
    """Check the images and write the machine's private files to `folder`.

    Raises `MachineError` for an image that can't be booted, or if UEFI firmware is missing.
    """
    check_images(config)
    code = variables = initrd = None
    if config.firmware != "bios":
        pair = find_uefi(
            is_secure=config.firmware == "uefi-secure", architecture=config.architecture
        )
        code, variables = pair.code, folder / "uefi-variables.fd"
        shutil.copyfile(config.variables or pair.variables, variables)
    if isinstance(config.boot, KernelBoot) and config.boot.initrds:
        initrd = folder / "initrd"
        concatenate(config.boot.initrds, initrd)
    return PrivateFiles(code, variables, initrd)


def check_images(config: MachineConfig) -> None:
    """Raise `MachineError` for an image that is missing or empty."""
    match config.boot:
        case UsbBoot(image) | DiskBoot(image) | IsoBoot(image):
            images = [image]
        case KernelBoot(kernel, initrds, _):
            images = [kernel, *initrds]
        case NetworkBoot(folder, bootfile):
            images = [folder / bootfile]
    images += [config.variables] if config.variables else []
    for path in [*images, *(disk.image for disk in config.disks)]:
        try:
            status = path.stat()
        except OSError as error:
            raise MachineError(f"cannot boot {path}: {(error.strerror or '').lower()}") from error
        fault = "a folder" if stat.S_ISDIR(status.st_mode) else "neither a file nor a disk"
        if stat.S_ISREG(status.st_mode):
            fault = "" if status.st_size else "the file is empty"
        if fault and not stat.S_ISBLK(status.st_mode):
            raise MachineError(f"cannot boot {path}: {fault}")


def concatenate(parts: tuple[Path, ...], target: Path) -> None:
    """Concatenate `parts`, each starting where the kernel looks for an archive."""
    with open(target, "wb") as out:
        for part in parts:
            with open(part, "rb") as data:
                shutil.copyfileobj(data, out, 1 << 20)
            out.write(bytes(-out.tell() % INITRD_ALIGNMENT))
