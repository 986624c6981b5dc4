"""The needs of programs, read from real and hostile files."""

import random
from pathlib import Path

import pytest

from flist.model import ROOT_INO
from flist.mount.ahead.elf import (
    ELF_MAGIC,
    ENTRY,
    FOLDERS,
    HEADER,
    MAX_ENTRIES,
    MAX_LIBRARIES,
    NOTHING,
    SEGMENT,
    Needs,
    Read,
    find_needed,
    parse_needs,
    walk,
)
from flist.mount.tree import Tree
from tests.helpers.flist.tree import PathSource

STRINGS = b"\0libone.so.1\0libtwo.so\0/opt/lib:$ORIGIN/../lib\0"
BASE, ADDRESS = 600, 0x400000


def make_elf(
    entries: list[tuple[int, int]], *, machine: int = 62, interpreter: bytes = b"/lib64/ld.so"
) -> bytes:
    """Return a program with these dynamic entries (tag, value) and the strings above."""
    table = b"".join(ENTRY.pack(*entry) for entry in [*entries, (5, ADDRESS + BASE), (0, 0)])
    place = BASE + len(STRINGS)
    segments = [
        SEGMENT.pack(1, 5, 0, ADDRESS, ADDRESS, 4096, 4096, 4096),
        SEGMENT.pack(2, 6, place, 0, 0, len(table), len(table), 8),
        SEGMENT.pack(3, 4, 400, 0, 0, len(interpreter) + 1, 0, 1),
    ]
    header = HEADER.pack(3, machine, 1, 0, 64, 0, 0, 64, 56, len(segments))
    header = ELF_MAGIC.ljust(16, b"\0") + header[16:]
    start = (header.ljust(64, b"\0") + b"".join(segments)).ljust(400, b"\0") + interpreter
    return start.ljust(BASE, b"\0") + STRINGS + table


def reading(data: bytes) -> Read:
    """Return a function that reads `data`."""
    return lambda offset, size: data[offset : offset + size]


def test_a_program_names_interpreter_libraries_and_directories() -> None:
    needs = parse_needs(reading(make_elf([(1, 1), (1, 13), (29, 23), (1, 1)])))
    assert needs.interpreter == b"/lib64/ld.so"
    assert needs.libraries == (b"libone.so.1", b"libtwo.so")
    usual = (b"/lib/x86_64-linux-gnu", b"/usr/lib/x86_64-linux-gnu")
    assert needs.folders == (b"/opt/lib", b"$ORIGIN/../lib", *usual, *FOLDERS)


def test_an_unknown_machine_has_no_directories_of_its_own() -> None:
    assert parse_needs(reading(make_elf([(1, 1)], machine=9999))).folders == FOLDERS


@pytest.mark.parametrize(
    ("data", "needs"),
    [
        (b"#!/usr/bin/env python3\n", Needs(b"/usr/bin/env")),
        (b"#! /bin/sh -e", Needs(b"/bin/sh")),
        (b"#!\n", NOTHING),
        (b"#! sh", NOTHING),
        (b"", NOTHING),
        (b"print('hello')", NOTHING),
        (b"\x7fELF\x01\x01\x01" + bytes(200), NOTHING),
        (b"\x7fELF\x02\x01\x01", NOTHING),
    ],
)
def test_scripts_and_other_files(data: bytes, needs: Needs) -> None:
    assert parse_needs(reading(data)) == needs


def test_numbers_out_of_range_give_no_needs() -> None:
    huge = 2**63 - 1
    for entries in ([(1, huge)], [(1, 2**64 - 1)], [(29, huge), (1, 10**6)]):
        needs = parse_needs(reading(make_elf(entries)))
        assert needs.libraries == ()
    many = make_elf([(1, number % 20) for number in range(MAX_ENTRIES * 2)])
    assert len(parse_needs(reading(many)).libraries) <= MAX_LIBRARIES


def test_damaged_programs_are_read_within_bounds() -> None:
    good = make_elf([(1, 1), (1, 13), (29, 23)])
    asked = []

    def read(offset: int, size: int) -> bytes:
        assert offset >= 0
        asked.append(size)
        return bytes(data[offset : offset + size])

    choose = random.Random(5)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(choose.randrange(1, 6)):
            data[choose.randrange(len(data))] = choose.randrange(256)
        needs = parse_needs(read)
        assert len(needs.libraries) <= MAX_LIBRARIES
    assert max(asked) <= MAX_ENTRIES * ENTRY.size
    for length in range(len(good)):
        parse_needs(reading(good[:length]))


def test_the_running_python_names_its_interpreter_and_libc() -> None:
    program = Path("/proc/self/exe").resolve()
    data = program.read_bytes()
    if data[4:6] != b"\x02\x01":
        pytest.skip("not 64 bits, little endian")
    needs = parse_needs(reading(data))
    assert needs.interpreter is not None
    assert Path(needs.interpreter.decode()).exists()
    assert any(name.startswith(b"libc.") for name in needs.libraries)


def make_tree() -> Tree:
    """Return a tree whose /lib is a link, as in Debian."""
    return Tree(
        PathSource(
            {
                b"/usr": None,
                b"/usr/lib": None,
                b"/usr/lib/libone.so.1": b"../lib/./libone.so.1.5",
                b"/usr/lib/libone.so.1.5": 9,
                b"/usr/bin": None,
                b"/usr/bin/program": 9,
                b"/lib": b"usr/lib",
                b"/up": b"../../usr",
                b"/round": b"/round",
                b"/nowhere": b"/not/there",
            }
        )
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/lib/libone.so.1", b"libone.so.1.5"),
        (b"//up/bin/../bin/program", b"program"),
        (b"/lib", None),
        (b"/round", None),
        (b"/nowhere", None),
        (b"/usr/bin/program/more", None),
        (b"", None),
    ],
)
def test_a_path_leads_through_links(path: bytes, name: bytes | None) -> None:
    found = walk(make_tree(), ROOT_INO, path)
    assert (found.name if found else None) == name


def test_libraries_are_found_in_directories_and_from_the_origin() -> None:
    tree = make_tree()
    program = tree.find(b"/usr/bin/program")
    needs = Needs(b"/nowhere", (b"libone.so.1", b"libnone.so"), (b"/opt/lib", b"$ORIGIN/../lib"))
    assert [file.name for file in find_needed(tree, program, needs)] == [b"libone.so.1.5"]
    needs = Needs(b"/usr/bin/program", (b"/lib/libone.so.1",), ())
    assert [file.name for file in find_needed(tree, program, needs)] == [
        b"program",
        b"libone.so.1.5",
    ]
