"""Small parts of the harness: the screen's memory, private files, firmware, acceleration, words."""

import json
from pathlib import Path

import pytest

from common.errors import UsageError
from qemu import acceleration
from qemu.cli import build_parser, choose_boot, parse_forward, parse_size
from qemu.errors import MachineError
from qemu.firmware import find_uefi
from qemu.launch import check_images, concatenate
from qemu.machine import QemuMachine
from qemu.model import Forward, IsoBoot, KernelBoot, MachineConfig, UsbBoot
from qemu.screen import COLUMNS, ROWS, decode_text


def test_vga_memory_becomes_rows() -> None:
    cells = bytearray(b" \x07" * (COLUMNS * ROWS))
    for row, text in ((0, b"iPXE"), (2, b"\xc9\xcdbox\0!")):
        for column, byte in enumerate(text):
            cells[2 * (row * COLUMNS + column)] = byte
    assert decode_text(bytes(cells) + b"beyond") == "iPXE\n\n\u2554\u2550box !"
    assert decode_text(bytes(4000)) == ""


@pytest.mark.parametrize("lengths", [(0, 1), (4, 8), (5, 3, 1), (511, 512, 513)])
def test_every_archive_begins_where_the_kernel_looks(
    tmp_path: Path, lengths: tuple[int, ...]
) -> None:
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


def test_images_are_checked_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(MachineError, match="the file is empty"):
        check_images(MachineConfig(boot=UsbBoot(tmp_path / "empty")))
    with pytest.raises(MachineError, match="a folder"):
        check_images(MachineConfig(boot=IsoBoot(tmp_path)))
    (tmp_path / "kernel").write_bytes(b"x")
    boot = KernelBoot(tmp_path / "kernel", (tmp_path / "missing",))
    with pytest.raises(MachineError, match=r"missing: no such file"):
        check_images(MachineConfig(boot=boot))


def test_firmware_is_looked_for_as_a_pair(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="no OVMF firmware") as caught:
        find_uefi(tmp_path)
    assert caught.value.hint == "apt-get install ovmf"
    folder = tmp_path / "usr/share/OVMF"
    folder.mkdir(parents=True)
    (folder / "OVMF_CODE_4M.fd").touch()
    for name in ("OVMF_CODE.fd", "OVMF_VARS.fd"):
        (folder / name).touch()
    assert find_uefi(tmp_path) == (folder / "OVMF_CODE.fd", folder / "OVMF_VARS.fd")


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Make this host one with a KVM device; return the list of answers its probes give."""
    answers: list[bool] = []
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    monkeypatch.setattr(acceleration, "KVM", tmp_path)
    monkeypatch.setattr(acceleration, "host_identity", lambda: ["this boot", "this QEMU"])
    monkeypatch.setattr(acceleration, "does_kvm_boot", lambda: answers.pop())
    return answers


def test_the_answer_about_kvm_is_remembered(kvm: list[bool], tmp_path: Path) -> None:
    kvm.append(True)
    assert [acceleration.choose_acceleration() for _ in range(2)] == ["kvm", "kvm"]
    assert kvm == []
    memory = tmp_path / "qemu" / "acceleration.json"
    assert json.loads(memory.read_text())["acceleration"] == "kvm"


def test_another_boot_or_qemu_is_asked_again(
    kvm: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    kvm.extend([False, True])
    assert acceleration.choose_acceleration() == "kvm"
    monkeypatch.setattr(acceleration, "host_identity", lambda: ["another boot", "this QEMU"])
    assert acceleration.choose_acceleration() == "tcg"


@pytest.mark.parametrize("text", ["", "[]", '{"host": 1}', "{"])
def test_a_spoilt_memory_is_passed_over(kvm: list[bool], tmp_path: Path, text: str) -> None:
    kvm.append(True)
    (tmp_path / "qemu").mkdir()
    (tmp_path / "qemu" / "acceleration.json").write_text(text)
    assert acceleration.choose_acceleration() == "kvm"


def test_without_the_device_nothing_is_asked(
    kvm: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration, "KVM", tmp_path / "nope")
    assert acceleration.choose_acceleration() == "tcg"


def test_a_host_without_qemu_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="qemu-system-x86_64: not found") as caught:
        QemuMachine(MachineConfig(boot=UsbBoot(tmp_path))).open()
    assert caught.value.hint == "apt-get install qemu-system-x86"


def test_sizes_and_ports_of_the_command() -> None:
    assert [parse_size(text) for text in ("512", "512M", "2G")] == [512, 512, 2048]
    assert parse_forward("6379") == Forward(6379)
    assert parse_forward("16379:6379") == Forward(6379, 16379)
    for text in ("2T", "", "-1", "1.5G"):
        with pytest.raises(UsageError, match="not a size"):
            parse_size(text)
    for text in ("", "x", ":80", "x:80", "80:"):
        with pytest.raises(UsageError, match="not a port"):
            parse_forward(text)


def test_what_the_command_boots() -> None:
    def boot(*words: str) -> object:
        return choose_boot(build_parser("zos vm").parse_args(words))

    assert boot("--usb", "a") == UsbBoot(Path("a"))
    assert boot("--iso", "a") == IsoBoot(Path("a"))
    kernel = KernelBoot(Path("k"), (Path("a"), Path("b")), "quiet console=ttyS0")
    words = ["--kernel", "k", "--initrd", "a", "--initrd", "b", "--append"]
    assert boot(*words, "quiet console=ttyS0") == kernel
    assert boot(*words, "quiet", "console=ttyS0") == kernel
    with pytest.raises(UsageError, match="--kernel only"):
        boot("--usb", "a", "--initrd", "b")
