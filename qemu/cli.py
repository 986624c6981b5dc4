"""`zos vm`: boot an image in a QEMU machine, or several, with the console on the terminal."""

import argparse
import contextlib
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import EXIT_INTERRUPTED, UsageError
from qemu.interactive.keys import HELP
from qemu.interactive.terminal import Terminal
from qemu.lines import Line
from qemu.machine import QemuMachine
from qemu.model import Boot, Firmware, Forward, IsoBoot, KernelBoot, MachineConfig, Nic, UsbBoot
from qemu.network import Network

SIZE = re.compile(r"(\d+)([MG]?)")
FOREVER_S = 10 * 365 * 86400.0
LOOK_S = 0.2
MACHINES_MAX = 9  # one digit chooses a machine
ON_TIMEOUT = 124  # as timeout(1)


def main(argv: Sequence[str], prog: str) -> int:
    """Run the verb.

    Return 0 if the machines powered off or the user ended them, 124 if `--timeout` stopped them,
    130 after Ctrl-C.
    """
    options = build_parser(prog).parse_args(argv)
    if options.timeout is not None and not options.timeout > 0:
        raise UsageError(f"cannot stop after {options.timeout:g} s", hint="--timeout 60")
    if not 1 <= options.machines <= MACHINES_MAX:
        raise UsageError(f"cannot start {options.machines} machines: 1 to {MACHINES_MAX} can be")
    configs = build_configs(options)
    for number in (signal.SIGTERM, signal.SIGHUP):  # like Ctrl-C: stop the machines cleanly
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup sets SIGHUP
            signal.signal(number, signal.default_int_handler)
    printer = Printer()
    terminal = Terminal(0, 1, talk) if options.interactive else None
    with contextlib.ExitStack() as stack:
        try:
            machines = start(options, configs, stack, terminal, printer)
            deadline = time.monotonic() + (options.timeout or FOREVER_S)
            (terminal or printer).serve(machines, lambda: time.monotonic() >= deadline)
        except KeyboardInterrupt:
            talk("stopping")
            return EXIT_INTERRUPTED
    if printer.error:
        raise printer.error
    if time.monotonic() < deadline:
        return 0
    talk(f"stopped after {options.timeout:g} s")
    return ON_TIMEOUT


def build_configs(options: argparse.Namespace) -> list[MachineConfig]:
    """Return the machines; several are equal, and on one network once that is open."""
    config = MachineConfig(
        boot=choose_boot(options),
        architecture=options.architecture,
        firmware=choose_firmware(options),
        acceleration=options.acceleration,
        memory_mib=parse_size(options.memory),
        cpus=options.cpus,
        forwards=tuple(parse_forward(word) for word in options.forward),
        on_panic="none",
        has_tpm=options.tpm,
        variables=options.variables,
    )
    if options.machines > 1 and config.forwards:
        raise UsageError("ports are forwarded to one machine only", hint="--machines 1")
    return [config] * options.machines


def start(
    options: argparse.Namespace,
    configs: list[MachineConfig],
    stack: contextlib.ExitStack,
    terminal: Terminal | None,
    printer: "Printer",
) -> list[QemuMachine]:
    """Start the machines, on one network if there are several; `stack` ends them."""
    if terminal:
        talk(HELP)
    if len(configs) > 1:
        network = stack.enter_context(Network())
        nics = [Nic(network=network, mac=f"52:54:00:7a:06:{n:02x}") for n in range(len(configs))]
        configs = [replace(one, nics=(nic,)) for one, nic in zip(configs, nics, strict=True)]
    machines = []
    for number, config in enumerate(configs):
        name = str(number + 1) if len(configs) > 1 else ""
        machine = QemuMachine(
            config,
            artefacts=options.log and options.log / name,
            on_console_line=None if terminal else printer.line_taker(name),
            on_console_data=terminal.data_taker(number) if terminal else None,
        )
        machines.append(stack.enter_context(machine))
        tell_started(machine, name, "Ctrl-] q" if terminal else "Ctrl-C")
    return machines


def tell_started(machine: QemuMachine, name: str, end: str) -> None:
    """Say that a machine runs, which ports lead to it, and which keys stop it."""
    for item in machine.config.all_forwards:
        port = machine.forwarded_port(item.guest_port, item.protocol)
        talk(f"127.0.0.1:{port} leads to port {item.guest_port}")
    who = f"machine {name} started" if name else "started"
    talk(f"{who} ({machine.acceleration}); {end} stops it")


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
    parser.add_argument(
        "--variables", type=Path, metavar="FILE", help="UEFI variables to begin with, not changed"
    )
    parser.add_argument("--tpm", action="store_true", help="add a TPM 2.0 (needs swtpm)")
    parser.add_argument("--acceleration", choices=("auto", "kvm", "tcg"), default="auto")
    parser.add_argument("--memory", default="2G", help="with M or G (default: %(default)s)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N")
    parser.add_argument(
        "--forward", action="append", default=[], metavar="[HOST:]GUEST", help="a TCP port"
    )
    parser.add_argument(
        "--machines", type=int, default=1, metavar="N", help="equal ones, on one network"
    )
    parser.add_argument(
        "--interactive", action="store_true", help="type on a machine's console; Ctrl-] q ends"
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


class Printer:
    """Prints the lines of consoles with their times."""

    def __init__(self) -> None:
        self.error: OSError | None = None  # nobody reads what is printed

    def line_taker(self, name: str) -> Callable[[Line], None]:
        """Return the function that prints a line of the machine `name` (empty: the only one)."""

        def take(line: Line) -> None:
            try:
                sys.stdout.write(f"{name}[{line.at_s:9.3f}] {line.text}\n")
                sys.stdout.flush()
            except OSError as error:  # it is called in a console's thread, which goes on reading
                self.error = error

        return take

    def serve(self, machines: Sequence[QemuMachine], is_over: Callable[[], bool]) -> None:
        """Wait until all machines have ended, nobody reads any more, or `is_over`."""
        for machine in machines:
            while not (is_over() or self.error or machine.process.wait(LOOK_S)):
                pass


def talk(text: str) -> None:
    """Print a message on stderr, apart from the console on stdout."""
    sys.stderr.write(f"zos vm: {text}\n")
