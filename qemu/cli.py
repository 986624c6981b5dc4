"""`zos vm`: boot an image in a QEMU machine with its console on the terminal."""

import argparse
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import EXIT_INTERRUPTED, UsageError
from qemu.errors import WaitTimeoutError
from qemu.lines import Line
from qemu.machine import QemuMachine
from qemu.model import Boot, Firmware, Forward, IsoBoot, KernelBoot, MachineConfig, UsbBoot

SIZE = re.compile(r"(\d+)([MG]?)")
FOREVER_S = 10 * 365 * 86400.0
ON_TIMEOUT = 124  # as timeout(1)


def main(argv: Sequence[str], prog: str) -> int:
    """Run the verb.

    Return 0 if the machine powered off, 124 if `--timeout` stopped it, 130 after Ctrl-C.
    """
    options = build_parser(prog).parse_args(argv)
    config = MachineConfig(
        boot=choose_boot(options),
        architecture=options.architecture,
        firmware=choose_firmware(options),
        acceleration=options.acceleration,
        memory_mib=parse_size(options.memory),
        cpus=options.cpus,
        forwards=tuple(parse_forward(word) for word in options.forward),
        on_panic="none",
    )
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError(f"cannot stop after {options.timeout:g} s", hint="--timeout 60")
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: stop the machine cleanly
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets SIGHUP
            signal.signal(number, signal.default_int_handler)
    with QemuMachine(config, artefacts=options.log, on_console_line=print_line) as machine:
        try:
            for item in config.all_forwards:
                port = machine.forwarded_port(item.guest_port, item.protocol)
                talk(f"127.0.0.1:{port} leads to port {item.guest_port}")
            talk(f"started ({machine.acceleration}); Ctrl-C stops it")
            machine.wait_for_shutdown(options.timeout or FOREVER_S)
        except WaitTimeoutError:
            talk(f"stopped after {options.timeout:g} s")
            return ON_TIMEOUT
        except KeyboardInterrupt:
            talk("stopping")
            return EXIT_INTERRUPTED
    return 0


def build_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of `zos vm`."""
    parser = argparse.ArgumentParser(prog, description="Boot an image in a QEMU machine.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--usb", type=Path, metavar="FILE", help="boot from the image of a USB stick")
    what.add_argument("--iso", type=Path, metavar="FILE", help="boot from the image of a CD")
    what.add_argument("--kernel", type=Path, metavar="FILE", help="boot a kernel directly")
    parser.add_argument(
        "--initrd", type=Path, action="append", default=[], metavar="FILE", help="can be repeated"
    )
    parser.add_argument("--append", nargs="+", default=[], metavar="WORD", help="kernel parameters")
    parser.add_argument(
        "--firmware", choices=("bios", "uefi", "uefi-secure"), help="default: bios, uefi on arm64"
    )
    parser.add_argument("--architecture", choices=("amd64", "arm64"), default="amd64")
    parser.add_argument("--acceleration", choices=("auto", "kvm", "tcg"), default="auto")
    parser.add_argument("--memory", default="2G", help="with M or G (default: %(default)s)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N")
    parser.add_argument(
        "--forward", action="append", default=[], metavar="[HOST:]GUEST", help="a TCP port"
    )
    parser.add_argument("--timeout", type=float, metavar="S", help="stop after S seconds")
    parser.add_argument("--log", type=Path, metavar="DIR", help="write the logs to this folder")
    return parser


def choose_firmware(options: argparse.Namespace) -> Firmware:
    """Return the firmware that the options choose, else the usual one of the architecture."""
    chosen: Firmware | None = options.firmware
    return chosen or ("uefi" if options.architecture == "arm64" else "bios")


def choose_boot(options: argparse.Namespace) -> Boot:
    """Return the boot source that the options choose."""
    if options.kernel is None and (options.initrd or options.append):
        raise UsageError("--initrd and --append go with --kernel only")
    if options.usb:
        return UsbBoot(options.usb)
    if options.iso:
        return IsoBoot(options.iso)
    return KernelBoot(options.kernel, tuple(options.initrd), " ".join(options.append))


def parse_size(text: str) -> int:
    """Return MiB for a number followed by M (the default) or G."""
    match = SIZE.fullmatch(text)
    if not match:
        raise UsageError(f"not a size: {text!r}", hint="say 512M or 2G")
    return int(match[1]) * (1024 if match[2] == "G" else 1)


def parse_forward(text: str) -> Forward:
    """Return the forward for GUEST or HOST:GUEST."""
    host, colon, guest = text.rpartition(":")
    if not guest.isdecimal() or (colon and not host.isdecimal()):
        raise UsageError(f"not a port: {text!r}", hint="say 6379 or 16379:6379")
    return Forward(int(guest), int(host or 0))


def print_line(line: Line) -> None:
    """Print one console line with its time."""
    sys.stdout.write(f"[{line.at_s:9.3f}] {line.text}\n")
    sys.stdout.flush()


def talk(text: str) -> None:
    """Print a message on stderr, apart from the console on stdout."""
    sys.stderr.write(f"zos vm: {text}\n")
