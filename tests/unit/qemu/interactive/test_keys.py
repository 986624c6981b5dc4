"""The commands among the keys."""

import pytest

from qemu.interactive.keys import Choose, Help, Keys, Quit, Typed, Wish


@pytest.mark.parametrize(
    ("typed", "wishes"),
    [
        (b"ls\r", [Typed(b"ls\r")]),
        (b"\x03\x00\xff\x1b[A", [Typed(b"\x03\x00\xff\x1b[A")]),
        (b"a\x1d2b", [Typed(b"a"), Choose(2), Typed(b"b")]),
        (b"a\x1d\x1db", [Typed(b"a\x1db")]),
        (b"\x1dq", [Quit()]),
        (b"\x1d?\x1d0", [Help(), Help()]),
        (b"\x1d", []),
        (b"", []),
    ],
)
def test_commands_begin_with_ctrl_bracket(typed: bytes, wishes: list[Wish]) -> None:
    assert Keys().feed(typed) == wishes


def test_a_command_may_come_in_two_reads() -> None:
    keys = Keys()
    assert keys.feed(b"a\x1d") == [Typed(b"a")]
    assert keys.feed(b"1b") == [Choose(1), Typed(b"b")]
