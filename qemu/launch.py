"""What has to be there before QEMU can be started: checked images, private files, sockets."""

import contextlib
import shutil
import socket
from pathlib import Path

from qemu.args import Wiring
from qemu.errors import MachineError
from qemu.firmware import find_uefi
from qemu.model import IsoBoot, KernelBoot, MachineConfig, NetworkBoot, UsbBoot

INITRD_ALIGNMENT = 4  # the kernel looks for the next cpio archive at a multiple of this


class Channels:
    """The connected sockets between us and one QEMU: our ends and, until it runs, its ends."""

    def __init__(self, has_agent: bool) -> None:
        self.qmp, self._qmp = socket.socketpair()
        self.console, self._console = socket.socketpair()
        self.agent: socket.socket | None = None
        self._agent: socket.socket | None = None
        if has_agent:
            self.agent, self._agent = socket.socketpair()

    def wiring(self, acceleration: str, files: "PrivateFiles") -> Wiring:
        """Return what the command line has to know of the sockets and files."""
        return Wiring(
            acceleration=acceleration,
            qmp_fd=self._qmp.fileno(),
            console_fd=self._console.fileno(),
            agent_fd=self._agent.fileno() if self._agent else None,
            code_file=files.code,
            vars_file=files.variables,
            initrd=files.initrd,
        )

    def child_fds(self) -> list[int]:
        """Return the descriptors that QEMU inherits."""
        return [end.fileno() for end in (self._qmp, self._console, self._agent) if end]

    def close_child_ends(self) -> None:
        """Let go of QEMU's ends, so that its death closes ours."""
        for end in (self._qmp, self._console, self._agent):
            if end:
                end.close()

    def close(self) -> None:
        """Close everything; safe to call twice."""
        self.close_child_ends()
        for end in (self.qmp, self.console, self.agent):
            if end:
                end.close()


class PrivateFiles:
    """Files that belong to one machine, in its own folder."""

    def __init__(self, config: MachineConfig, folder: Path) -> None:
        self.code: Path | None = None
        self.variables: Path | None = None
        self.initrd: Path | None = None
        check_images(config)
        if config.firmware == "uefi":
            pair = find_uefi()
            self.code = pair.code
            self.variables = folder / "uefi-variables.fd"
            shutil.copyfile(pair.variables, self.variables)
        if isinstance(config.boot, KernelBoot) and config.boot.initrds:
            self.initrd = folder / "initrd"
            concatenate(config.boot.initrds, self.initrd)


def check_images(config: MachineConfig) -> None:
    """Raise `MachineError` for an image that is not there or is empty."""
    match config.boot:
        case UsbBoot(image) | IsoBoot(image):
            images = [image]
        case KernelBoot(kernel, initrds, _):
            images = [kernel, *initrds]
        case NetworkBoot(folder, bootfile):
            images = [folder / bootfile]
    for path in [*images, *(disk.image for disk in config.disks)]:
        try:
            is_empty = path.stat().st_size == 0 and not path.is_block_device()
        except OSError as error:
            raise MachineError(f"cannot boot {path}: {(error.strerror or '').lower()}") from error
        if is_empty or path.is_dir():
            raise MachineError(
                f"cannot boot {path}: {'the file is empty' if is_empty else 'a folder'}"
            )


def concatenate(parts: tuple[Path, ...], target: Path) -> None:
    """Write `parts` one after the other, each beginning where the kernel looks for it."""
    with open(target, "wb") as out:
        for part in parts:
            with open(part, "rb") as data:
                shutil.copyfileobj(data, out, 1 << 20)
            out.write(bytes(-out.tell() % INITRD_ALIGNMENT))


def remove_folder(folder: Path) -> None:
    """Remove a machine's own folder, whatever is in it."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)
