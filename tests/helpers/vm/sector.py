"""Boot sectors for BIOS machines: the smallest programs that a virtual machine can run.

They are 16-bit machine code. The ports are those of QEMU's q35 board with SeaBIOS, which places the
power management registers at 0x600 (status, enable, control: ACPI 4.8.3).
"""

from pathlib import Path

SECTOR_BYTES = 512
SERIAL = 0x3F8
PM_STATUS, PM_ENABLE, PM_CONTROL = 0x600, 0x602, 0x604
POWER_BUTTON = 0x0100
SOFT_OFF = 0x2000
RESET_CONTROL = 0xCF9
PANIC_PORT = 0x505

# SeaBIOS's timer interrupt also uses the serial port: it would take the program's input and write
# into its output.
NO_INTERRUPTS = b"\xfa"  # cli
HALT = b"\xf4\xeb\xfd"  # hlt; jmp back
SPIN = b"\xeb\xfe"  # jmp here


def out_byte(port: int, value: int) -> bytes:
    """Return code that writes one byte to a port."""
    return b"\xba" + port.to_bytes(2, "little") + bytes([0xB0, value, 0xEE])


def out_word(port: int, value: int) -> bytes:
    """Return code that writes a word to a port."""
    return b"\xba" + port.to_bytes(2, "little") + b"\xb8" + value.to_bytes(2, "little") + b"\xef"


def say(text: str) -> bytes:
    """Return code that writes `text` to the first serial port."""
    return b"".join(out_byte(SERIAL, byte) for byte in text.encode())


def show(text: str, cell: int = 0) -> bytes:
    """Return code that writes `text` to VGA text memory, by default at the screen's top left."""
    code = b"\xb8\x00\xb8\x8e\xc0"  # mov ax, 0xb800; mov es, ax
    for place, byte in enumerate(text.encode("cp437")):
        code += b"\x26\xc6\x06" + (2 * (cell + place)).to_bytes(2, "little") + bytes([byte])
    return code


def enable_power_button() -> bytes:
    """Return code that enables the power button; earlier presses are lost."""
    return out_word(PM_ENABLE, POWER_BUTTON)


def wait_for_power_button() -> bytes:
    """Return code that waits until the enabled power button has been pressed."""
    poll = b"\xba" + PM_STATUS.to_bytes(2, "little") + b"\xed\xf6\xc4\x01\x74"  # in; test ah,1; jz
    return poll + bytes([256 - len(poll) - 1])


def wait_for_byte() -> bytes:
    """Return code that waits for a byte on the serial port."""
    return b"\xba" + (SERIAL + 5).to_bytes(2, "little") + b"\xec\xa8\x01\x74\xf8"


def echo_forever() -> bytes:
    """Return code that sends every byte from the serial port back, plus one."""
    body = wait_for_byte() + b"\xba" + SERIAL.to_bytes(2, "little") + b"\xec\xfe\xc0\xee"
    return body + bytes([0xEB, 256 - len(body) - 2])


def power_off() -> bytes:
    """Return code that switches the machine off."""
    return out_word(PM_CONTROL, SOFT_OFF)


def reset() -> bytes:
    """Return code that resets the machine."""
    return out_byte(RESET_CONTROL, 0x06)


def panic() -> bytes:
    """Return code that reports a panic to QEMU, as a Linux kernel with pvpanic does."""
    return out_byte(PANIC_PORT, 1)


def write_sector(path: Path, *code: bytes, sectors: int = 2048) -> Path:
    """Write a disk image that runs `code` at boot; return its path."""
    program = b"".join([NO_INTERRUPTS, *code])
    assert len(program) <= SECTOR_BYTES - 2, "the program does not fit into one sector"
    sector = program.ljust(SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"
    path.write_bytes(sector + bytes((sectors - 1) * SECTOR_BYTES))
    return path
