"""Decides between KVM and emulation by booting firmware; the answer is cached per host boot.

A `/dev/kvm` that opens proves little: under nested virtualisation, guests may start and then hang.
"""

import contextlib
import json
import os
import shutil
import time
from pathlib import Path

from common.files import write_atomic
from common.paths import cache_dir
from common.scratch import scratch
from qemu.args import BOARDS, PROGRAM
from qemu.errors import MachineError
from qemu.firmware import find_uefi
from qemu.model import Architecture
from qemu.process import QemuProcess

KVM = Path("/dev/kvm")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBE_DEADLINE_S = 20.0
POLL_S = 0.1
# OVMF prints this just before it starts a boot loader. By then it has used long mode, paging,
# interrupts, timers and the PCI bus.
PROOF = b"BdsDxe"


def choose_acceleration(architecture: Architecture = "amd64") -> str:
    """Return "kvm" if it works, else "tcg"; cached for this host boot and this QEMU.

    Only amd64 is tried: a machine of arm64 is emulated, unless its configuration says "kvm".
    """
    if architecture != "amd64" or not os.access(KVM, os.R_OK | os.W_OK):
        return "tcg"
    memory = cache_dir("qemu") / "acceleration.json"
    identity = host_identity()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text())
        if known["host"] == identity:
            return str(known["acceleration"])
    answer = "kvm" if does_kvm_boot() else "tcg"
    write_atomic(memory, json.dumps({"host": identity, "acceleration": answer}).encode())
    return answer


def find_program(architecture: Architecture = "amd64") -> str:
    """Return the path of QEMU. Raises `MachineError` if it is not installed."""
    board = BOARDS[architecture]
    program = shutil.which(board.program)
    if program is None:
        raise MachineError(
            f"cannot run {board.program}: not found", hint=f"apt-get install {board.package}"
        )
    return program


def host_identity() -> list[str]:
    """Return what the answer depends on: the boot of this host, QEMU and its firmware."""
    program = find_program()
    about = Path(program).resolve().stat()
    try:
        firmware = str(find_uefi().code)
    except MachineError:
        firmware = ""
    boot = BOOT_ID.read_text().strip()
    return [boot, program, str(about.st_mtime_ns), str(about.st_size), firmware]


def does_kvm_boot(deadline_s: float = PROBE_DEADLINE_S) -> bool:
    """Boot UEFI firmware under KVM; return whether it came as far as starting a boot loader."""
    try:
        firmware = find_uefi()
    except MachineError:
        return False
    with scratch("kvm") as folder:
        variables = folder / "variables.fd"
        shutil.copyfile(firmware.variables, variables)
        said = folder / "said"
        argv = [PROGRAM, "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm"]
        argv += ["-cpu", "host", "-m", "128M", "-display", "none", "-serial", f"file:{said}"]
        argv += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware.code}"]
        argv += ["-drive", f"if=pflash,unit=1,format=raw,file={variables}"]
        errors = folder / "errors"
        process = QemuProcess(argv, (), errors)
        try:
            process.start()
            return saw_proof(process, said, errors, deadline_s)
        finally:
            process.kill()


def saw_proof(process: QemuProcess, said: Path, errors: Path, deadline_s: float) -> bool:
    """Watch the serial port until the proof, a KVM error, the end of QEMU, or the deadline."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if said.exists() and PROOF in said.read_bytes():
            return True
        if b"KVM internal error" in errors.read_bytes():
            return False
        if process.wait(POLL_S):
            return False
    return False
