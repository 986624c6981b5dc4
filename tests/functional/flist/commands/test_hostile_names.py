"""Names and tags with control characters: each is printed on one line, escaped."""

import os
import shutil
from pathlib import Path

from common.errors import ZosError, render_error
from common.text import printable
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import describe

FOLDER, FILE, BYTES = "d\n\x1b]0;title\x07", "f\x1b[31m", b"bad\xff"


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / FOLDER).mkdir(parents=True)
    (tree / FOLDER / FILE).write_text("content")
    (tree / os.fsdecode(BYTES)).write_text("more")
    meta = tmp_path / "a.fl"
    rfs("pack", "-m", meta, "-s", f"dir://{tmp_path}/blocks", "--tag", "k\x1b=v\nw=x", tree)
    rfs("unpack", "-m", meta, tmp_path / "out")
    assert describe(tmp_path / "out").keys() == describe(tree).keys()
    (tmp_path / "empty").mkdir()
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "empty")
    shutil.rmtree(tmp_path / "blocks")
    said = []
    calls: list[list[str | Path]] = [
        ["tree", meta],
        ["tree", "-l", meta],
        ["diff", meta, tmp_path / "b.fl"],
        ["verify", "-m", meta],
        ["unpack", "-m", meta, tmp_path / "other"],
        ["inspect", meta],
        ["config", "-m", meta, "tag", "list"],
        ["tree", tmp_path / FILE],
    ]
    for words in calls:
        done = rfs(*words, check=False)
        said.append(done.stdout + done.stderr)
        assert said[-1].replace("\n", "").isprintable(), words
    assert "/d\\n\\x1b]0;title\\x07/f\\x1b[31m" in said[0]
    assert "/bad\\xff" in said[0]
    assert said[6] == "k\\x1b=v\\nw=x\n"
    assert len(said[3].splitlines()) == 3  # two faults, one summary


def test_errors_keep_their_lines() -> None:
    error = ZosError("cannot run x: it said\n\tone\x1b[2J\ntwo", hint="see \udcff")
    assert render_error(error, "zos") == (
        "zos: cannot run x: it said\n\tone\\x1b[2J\ntwo\n  hint: see \\xff\n"
    )
    assert printable("ü ok") == "ü ok"
