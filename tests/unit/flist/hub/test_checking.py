"""`zos hub check`: what is damaged is found, and mended from a mirror."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from flist.hub import cli
from flist.hub.library.checking import check_hub, open_mirror
from flist.hub.state.tables import BLOCKS, OBJECTS, PIECES, USES
from flist.server.names import name_block
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

FILE = b"an uploaded file"
DAMAGES: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: None,
    "empty": lambda path: path.touch(),
    "half": lambda path: path.write_bytes(b"half"),
    "directory": lambda path: path.mkdir(),
    "pipe": lambda path: os.mkfifo(path),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    """Make a hub with a flist and a file, and a copy of its blocks in `mirror`."""
    hub = make_hub(tmp_path / "hub")
    data = make_flist(tmp_path, hub.root, "content")
    assert hub.send("PUT", "/alice/a.fl", data, user="alice").status == 201
    assert hub.send("POST", "/api/v1/file", FILE, user="alice").status == 201
    shutil.copytree(hub.root / "blocks", tmp_path / "mirror" / "blocks")
    return hub


def problems(hub: LocalHub) -> list[str]:
    """Return what is wrong, without mending it."""
    return check_hub(hub.hub).problems


def repair(hub: LocalHub, mirror: Path) -> tuple[int, int]:
    """Mend; return how many problems were mended and left."""
    report = check_hub(hub.hub, open_mirror(str(mirror), 1 << 20))
    return len(report.repaired), len(report.problems)


def test_nothing_is_wrong(hub: LocalHub) -> None:
    report = check_hub(hub.hub)
    assert (report.problems, report.repaired, report.orphans) == ([], [], 0)
    assert report.objects == 2 and report.copies == 1
    assert report.blocks == len(list((hub.root / "blocks").glob("*/*")))


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_blocks_are_mended(hub: LocalHub, tmp_path: Path, damage: str) -> None:
    paths = sorted((hub.root / "blocks").glob("*/*"))
    for path in paths:
        path.unlink()
        DAMAGES[damage](path)
    found = problems(hub)
    for path in paths:
        assert any(path.name in line for line in found), found
    if damage == "directory":
        assert repair(hub, tmp_path / "mirror")[0] == 0  # it may be somebody's
        for path in paths:
            path.rmdir()
    repair(hub, tmp_path / "mirror")
    assert problems(hub) == []
    assert hub.send("GET", f"/blocks/{name_block(FILE)}").body == FILE


def test_a_mirror_is_not_believed(hub: LocalHub, tmp_path: Path) -> None:
    for path in [*hub.root.glob("blocks/*/*"), *tmp_path.glob("mirror/blocks/*/*")]:
        path.write_bytes(b"wrong")
    before = problems(hub)
    assert repair(hub, tmp_path / "mirror") == (0, len(before))
    assert problems(hub) == before


def test_references_are_checked(hub: LocalHub, tmp_path: Path) -> None:
    block = bytes.fromhex(name_block(FILE))
    with hub.hub.database.writing() as connection:
        connection.execute(update(BLOCKS).where(BLOCKS.c.id != block).values(size=1))
        connection.execute(delete(BLOCKS).where(BLOCKS.c.id == block))
        connection.execute(delete(USES))
    found = "\n".join(problems(hub))
    for text in ("is missing, and", "the database says 1", "are not noted as needed"):
        assert text in found
    repair(hub, tmp_path / "mirror")
    assert problems(hub) == []


def test_what_no_mirror_can_mend_stays_told(hub: LocalHub, tmp_path: Path) -> None:
    with hub.hub.database.writing() as connection:
        connection.execute(update(OBJECTS).values(size=1))
        connection.execute(update(PIECES).values(position=PIECES.c.position + 1))
        connection.execute(delete(PIECES).where(PIECES.c.block == bytes.fromhex(name_block(FILE))))
    assert len(problems(hub)) == 2
    assert repair(hub, tmp_path / "mirror") == (0, 2)


def test_a_damaged_copy_is_removed(hub: LocalHub) -> None:
    (copy,) = (hub.root / "cache").glob("*/*")
    copy.write_bytes(b"wrong")
    assert len(check_hub(hub.hub).repaired) == 1
    assert hub.send("GET", "/alice/a.fl").body[:6] == b"SQLite"


def test_the_command(hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(hub.root / "blocks")
    words = ["check", str(hub.root)]
    assert cli.main(words, "zos hub") == 1
    assert cli.main([*words, "--json", "--repair-from", str(tmp_path / "mirror")], "zos hub") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["problems"] == []
    assert cli.main(words, "zos hub") == 0
    assert cli.main(["gc", str(hub.root), "--older-than", "0", "--json"], "zos hub") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["removed"] == 0
