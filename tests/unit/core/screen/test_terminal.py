"""Drawing on a real pseudo-terminal: what is sent, and what typing does."""

import os
import pty
import select
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.ipc.errors import UnreachableError
from core.daemon import Stop
from core.screen.daemon import SELDOM_EVERY, Screen
from core.screen.layout import BAD, Line
from core.screen.terminal import Terminal


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    outer, inner = pty.openpty()
    yield outer, inner
    os.close(outer)
    os.close(inner)


def sent(handle: int) -> str:
    found = b""
    while select.select([handle], [], [], 0.1)[0]:
        found += os.read(handle, 1 << 16)
    return found.decode()


def test_only_what_has_changed_is_drawn_again(pair: tuple[int, int]) -> None:
    outer, inner = pair
    terminal = Terminal(inner)
    terminal.open()
    terminal.draw([Line("one"), Line("two")], is_whole=False)
    assert "one" in sent(outer)
    terminal.draw([Line("one"), Line("TWO", BAD)], is_whole=False)
    assert sent(outer) == "\x1b[2;1H\x1b[0;1;31mTWO\x1b[0m"
    terminal.draw([Line("one"), Line("TWO", BAD)], is_whole=False)
    assert sent(outer) == ""
    terminal.draw([Line("one"), Line("TWO", BAD)], is_whole=True)
    assert "one" in sent(outer)


def test_what_is_typed_has_no_effect(pair: tuple[int, int]) -> None:
    outer, inner = pair
    terminal = Terminal(inner)
    terminal.open()
    os.write(outer, b"q\x03\x1c\x1a\n")
    terminal.draw([Line("one")], is_whole=True)
    assert "q" not in sent(outer)
    assert not termios.tcgetattr(inner)[3] & (termios.ECHO | termios.ISIG)
    os.set_blocking(inner, False)
    with pytest.raises(BlockingIOError):
        os.read(inner, 10)


def test_the_screen_goes_on_without_the_daemons(pair: tuple[int, int]) -> None:
    def ask(*_: object) -> None:
        raise UnreachableError("no")

    outer, inner = pair
    screen = Screen(Terminal(inner), ask)
    stop = Stop()
    stop.is_asked = True
    screen.run(stop)
    assert "bring-up does not answer" in sent(outer)


def test_what_seldom_changes_is_asked_for_seldom_once_it_is_known(pair: tuple[int, int]) -> None:
    asked: list[str] = []
    answers: dict[str, object] = {"describe": {"node": "AKnL"}}

    def ask(_: Path, method: str, timeout_s: float) -> object:
        asked.append(method)
        if method not in answers:
            raise UnreachableError("no")
        return answers[method]

    screen = Screen(Terminal(pair[1]), ask)
    for _ in range(4):
        screen.gather()
        screen.round += 1
    assert (asked.count("describe"), asked.count("load"), asked.count("facts")) == (1, 4, 4)
    answers["facts"] = {}
    for _ in range(SELDOM_EVERY):
        screen.gather()
        screen.round += 1
    assert (asked.count("describe"), asked.count("facts")) == (2, 4 + 2)
