"""The options of `zos vm`."""

from pathlib import Path

import pytest

from common.errors import UsageError
from qemu.cli import build_parser, choose_boot, choose_firmware, parse_forward, parse_size
from qemu.model import Forward, IsoBoot, KernelBoot, UsbBoot


def test_sizes() -> None:
    assert [parse_size(text) for text in ("512", "512M", "2G")] == [512, 512, 2048]
    for text in ("2T", "", "-1", "1.5G"):
        with pytest.raises(UsageError, match="not a size"):
            parse_size(text)


def test_forwarded_ports() -> None:
    assert parse_forward("6379") == Forward(6379)
    assert parse_forward("16379:6379") == Forward(6379, 16379)
    for text in ("", "x", ":80", "x:80", "80:"):
        with pytest.raises(UsageError, match="not a port"):
            parse_forward(text)


@pytest.mark.parametrize(
    ("words", "firmware"),
    [((), "bios"), (("--architecture", "arm64"), "uefi"), (("--firmware", "uefi"), "uefi")],
)
def test_the_firmware(words: tuple[str, ...], firmware: str) -> None:
    options = build_parser("zos vm").parse_args(["--kernel", "k", *words])
    assert choose_firmware(options) == firmware


def test_the_boot_source() -> None:
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
