"""Progress: a bar on a terminal that ends at 100 %, and no output anywhere else."""

import os
import signal
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from flist.bulk.convert import convert
from flist.commands.shared.progress import REDRAW_S, ByteProgress
from flist.model import CHUNK_BYTES
from flist.store.routed import parse_route
from flist.store.sources import Sources
from tests.helpers.flist.faults import faulty_server
from tests.helpers.flist.mount import rfs
from tests.helpers.terminal import frames, on_terminal

SIZE = 3_000_000
ERASE_LINE = "\x1b[2K"
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"
COMMANDS = ["packing", "unpacking", "cloning", "fetching", "verifying"]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """Return a folder with a tree and its flist."""
    (tmp_path / "tree").mkdir()
    for number in range(3):
        (tmp_path / "tree" / str(number)).write_bytes(os.urandom(SIZE // 3))
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    return tmp_path


def words_of(what: str, top: Path) -> list[str | Path]:
    """Return the command whose bar is labelled `what`."""
    meta: list[str | Path] = ["-m", top / "a.fl"]
    store = f"dir://{top}/more"
    return {
        "packing": ["pack", *meta, "-s", store, "--checksum", top / "tree"],
        "unpacking": ["unpack", *meta, top / "out"],
        "cloning": ["clone", *meta, "-s", store],
        "fetching": ["prefetch", *meta, "-c", top / "cache"],
        "verifying": ["verify", *meta],
    }[what]


@pytest.mark.parametrize("what", COMMANDS)
def test_a_terminal_gets_a_bar_that_ends_at_100_percent(top: Path, what: str) -> None:
    with on_terminal(*words_of(what, top)) as run:
        shown = run.read()
        assert run.process.wait(30) == 0
        assert run.process.stdout is not None
        assert run.process.stdout.read() == ""
    bars = [line for line in frames(shown) if line.startswith(what)]
    assert len(bars) > 1, shown
    assert "100% 3.0/3.0 MB" in bars[-1]
    assert shown.count(HIDE_CURSOR) == shown.count(SHOW_CURSOR) == 1
    assert not frames(shown)[-1].startswith(what)  # followed by the summary


@pytest.mark.parametrize("what", COMMANDS)
def test_a_pipe_gets_no_bar(top: Path, what: str) -> None:
    done = rfs(*words_of(what, top))
    assert done.stdout == ""
    assert "\x1b" not in done.stderr
    assert "\r" not in done.stderr
    assert "%" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_bar_disappears_if_there_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    store = f"dir://{tmp_path}/blocks"
    with on_terminal("pack", "-m", tmp_path / "a.fl", "-s", store, tmp_path / "empty") as run:
        shown = run.read()
    assert "packing" not in shown[shown.rindex(ERASE_LINE) :]
    assert "packed 1 entries" in frames(shown)[-1]


def test_a_failure_does_not_show_100_percent(top: Path) -> None:
    for path in sorted((top / "blocks").glob("*/*"))[1:]:
        path.unlink()
    with on_terminal(*words_of("cloning", top)) as run:
        shown = run.read()
        assert run.process.wait(30) == 1
    assert "100%" not in shown
    assert "it is not in" in shown
    assert shown.count(HIDE_CURSOR) == shown.count(SHOW_CURSOR) == 1


def test_an_interruption_restores_the_terminal(top: Path) -> None:
    with faulty_server(top / "blocks") as server:
        server.break_with("stall")
        with on_terminal(*words_of("unpacking", top), "--store", server.url) as run:
            shown = run.read(until="unpacking")
            run.process.send_signal(signal.SIGINT)
            shown += run.read()
            assert run.process.wait(30) == 130
    assert shown.count(HIDE_CURSOR) == shown.count(SHOW_CURSOR) == 1
    assert "Traceback" not in shown


class Bar:
    """A stub that counts how often it is drawn."""

    def __init__(self) -> None:
        self.drawn = 0

    def update(self, _task: object, *, refresh: bool, **_: object) -> None:
        self.drawn += refresh


def test_many_small_blocks_are_not_drawn_each(monkeypatch: pytest.MonkeyPatch) -> None:
    progress = ByteProgress("testing")
    bar = progress.bar = Bar()
    now_s = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    for number in range(10_000):
        now_s += REDRAW_S / 1000
        progress.update(number, 10_000)
    assert 9 <= bar.drawn <= 11


def test_without_rich_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with ByteProgress("testing") as progress:
        progress.update(1, 2)
    assert capsys.readouterr().err == ""


def test_a_conversion_counts_bytes(top: Path) -> None:
    seen: list[tuple[int, int]] = []
    for name, size in (("small", 1), ("other", 2)):
        (top / "tree" / name).write_bytes(bytes(size))
    rfs("pack", "-m", top / "a.fl", "-s", f"dir://{top}/blocks", top / "tree")
    convert(
        top / "a.fl", top / "b.fl", Sources(), [parse_route(f"dir://{top}/more")], processes=1,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    steps = [after[0] - before[0] for before, after in pairwise([(0, 0), *seen])]
    assert sorted(steps) == sorted([1, 2, *[CHUNK_BYTES, SIZE // 3 - CHUNK_BYTES] * 3])
    assert seen[-1] == (SIZE + 3, SIZE + 3)
