"""What is prepared before QEMU starts: images, initrds, sockets."""

import contextlib
import os
import socket
from pathlib import Path

import pytest

from qemu.errors import MachineError
from qemu.launch import Channels, check_images, concatenate
from qemu.model import IsoBoot, KernelBoot, MachineConfig, UsbBoot


@pytest.mark.parametrize("lengths", [(0, 1), (4, 8), (5, 3, 1), (511, 512, 513)])
def test_every_archive_is_aligned(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    parts = []
    for number, length in enumerate(lengths):
        parts.append(tmp_path / str(number))
        parts[-1].write_bytes(bytes([number + 1]) * length)
    concatenate(tuple(parts), tmp_path / "all")
    data = (tmp_path / "all").read_bytes()
    at = 0
    for part in parts:
        content = part.read_bytes()
        assert at % 4 == 0
        assert data[at : at + len(content)] == content
        at += len(content) + -len(content) % 4
    assert at == len(data)


def test_a_missing_or_empty_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MachineError, match="neither a file nor a disk"):
        check_images(MachineConfig(boot=UsbBoot(tmp_path / "pipe")))
    with pytest.raises(MachineError, match="the file is empty"):
        check_images(MachineConfig(boot=UsbBoot(tmp_path / "empty")))
    with pytest.raises(MachineError, match="a folder"):
        check_images(MachineConfig(boot=IsoBoot(tmp_path)))
    (tmp_path / "kernel").write_bytes(b"x")
    boot = KernelBoot(tmp_path / "kernel", (tmp_path / "missing",))
    with pytest.raises(MachineError, match=r"missing: no such file"):
        check_images(MachineConfig(boot=boot))


def test_sockets_are_closed_if_one_can_not_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[socket.socket] = []
    make = socket.socketpair

    def open_two() -> tuple[socket.socket, socket.socket]:
        if len(opened) == 4:
            raise OSError(24, "Too many open files")
        opened.extend(make())
        return opened[-2], opened[-1]

    monkeypatch.setattr(socket, "socketpair", open_two)
    with pytest.raises(OSError, match="Too many open files"):
        Channels.open(has_agent=True)
    assert [end.fileno() for end in opened] == [-1] * 4


def test_a_console_takes_a_boots_messages_while_nobody_reads() -> None:
    """QEMU writes each character by itself, and what does not fit is lost."""
    with contextlib.closing(Channels.open(has_agent=False)) as channels:
        console = channels.console.theirs
        console.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 10_000:
                sent += console.send(b"x")
    assert sent > 500
