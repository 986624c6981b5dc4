"""What `dmidecode` prints, in the form that upstream makes of it, and tables to print."""

import random
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Properties = dict[str, str | list[str]]
END = b"\x7f\x04\xff\xff\0\0"


def structure(kind: int, handle: int, body: bytes, *strings: bytes) -> bytes:
    """Return one structure."""
    text = b"".join(string + b"\0" for string in strings) or b"\0"
    return struct.pack("<BBH", kind, 4 + len(body), handle) + body + text + b"\0"


def random_structure(chance: random.Random, kind: int, handle: int) -> bytes:
    """Return a structure with a random body and strings."""
    body = bytearray(chance.randbytes(chance.randrange(0, 100)))
    for place in range(len(body)):  # small numbers: more of the words are seen
        if chance.random() < 0.5:
            body[place] = chance.randrange(0, 12)
    strings = [f"string {chance.randrange(99)}".encode() for _ in range(chance.randrange(6))]
    return structure(kind, handle, bytes(body), *strings)


def entry_point(table: bytes, version: tuple[int, int] = (2, 8)) -> bytes:
    """Return the 32-bit entry point of a table that lies 32 bytes after it."""
    head = bytearray(b"_SM_\0\x1f" + bytes(version) + b"\xff\x00\0" + bytes(5))
    tail = bytearray(b"_DMI_\0" + struct.pack("<HIHB", len(table), 32, 999, 0x28))
    tail[5] = -sum(tail) & 0xFF
    head[4] = -(sum(head) + sum(tail)) & 0xFF
    return bytes(head + tail)


def run_dmidecode(program: str, table: bytes, folder: Path, version: tuple[int, int]) -> str:
    """Return what the program prints of a table."""
    dump = folder / "dump"
    dump.write_bytes(entry_point(table, version).ljust(32, b"\0") + table)
    told = subprocess.run(
        [program, "--from-dump", str(dump)], capture_output=True, text=True, check=True
    )
    return told.stdout


def parse_text(text: str) -> list[dict[str, Any]]:
    """Return the sections of printed text, as upstream reads it (zosbase pkg/capacity/dmi)."""
    sections = []
    for block in text.split("\n\n"):
        lines = [line for line in block.splitlines() if line.strip()]
        while lines and not lines[0].startswith("Handle "):
            lines.pop(0)
        if len(lines) > 1:
            sections.append({"handleline": lines[0], "parts": list(_parts(lines[1:]))})
    return sections


def _parts(lines: list[str]) -> Iterator[tuple[str, Properties]]:
    title, name = "", ""
    properties: Properties = {}
    for line in lines:
        if not line.startswith("\t"):
            if title:
                yield title, properties
            title, properties = line, {}
        elif line.startswith("\t\t"):
            found = properties[name]
            properties[name] = [*(found if isinstance(found, list) else []), line.strip()]
        else:
            name, _, value = line.strip().partition(":")
            properties[name.strip()] = value.strip()
    yield title, properties
