"""The contents of flists of both formats, as upstream's hub lists them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from flist.archive.pack import pack_archive
from flist.errors import FormatError
from flist.format import contents
from flist.format.contents import block_ids, contents_json, walk_contents
from flist.format.legacy.writer import write_legacy
from flist.format.opening import open_flist
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import Inode, Route
from tests.helpers.flist.registry import folder, link, make_layer, member

ROOT = Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0)
SUFFIXES = pytest.mark.parametrize("suffix", [".fl", ".flist"])


def make(output: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    store = [Route(0, 255, f"dir://{output.parent}/blocks")]
    pack_archive(io.BytesIO(make_layer(*members)), output, store)
    return output


def write(output: Path, inodes: list[Inode]) -> Path:
    tables = Tables(inodes, {}, {}, {}, [])
    (write_legacy if output.suffix == ".flist" else write_flist)(output, tables)
    return output


def read(meta: Path) -> dict[str, Any]:
    with open_flist(meta) as flist:
        found: dict[str, Any] = json.loads("".join(contents_json(flist)))
    return found


@SUFFIXES
def test_the_answer_is_that_of_upstreams_hub(tmp_path: Path, suffix: str) -> None:
    """As recorded for an upload, whose order is that of the tree."""
    meta = make(
        tmp_path / f"a{suffix}", folder("etc/"), member("etc/app.conf", b"name=lib version=2\n"),
        folder("lib/"), member("lib/libx.so", b"x" * 5000),
    )  # fmt: skip
    assert read(meta) == {
        "content": [
            {"size": 4096, "path": "/etc"}, {"size": 19, "path": "/etc/app.conf"},
            {"size": 4096, "path": "/lib"}, {"size": 5000, "path": "/lib/libx.so"},
        ],
        "regular": 2, "symlink": 0, "directory": 2, "special": 0, "failure": 0, "fullsize": 5019,
    }  # fmt: skip


@SUFFIXES
def test_other_kinds_and_odd_names(tmp_path: Path, suffix: str) -> None:
    meta = make(
        tmp_path / f"a{suffix}", link("link", "some/target"), member('q"\udcff', b"x"),
        member("pipe", type=tarfile.FIFOTYPE),
    )  # fmt: skip
    found = read(meta)
    sizes = {row["path"]: row["size"] for row in found["content"]}
    assert sizes == {"/link": 11, '/q"\ufffd': 1, "/pipe": 0}
    assert [found[key] for key in ("regular", "symlink", "special")] == [1, 1, 1]


@SUFFIXES
def test_an_empty_flist(tmp_path: Path, suffix: str) -> None:
    found = read(write(tmp_path / f"a{suffix}", [ROOT]))
    assert found.pop("content") == []
    assert set(found.values()) == {0}


@SUFFIXES
def test_a_large_directory_is_read_in_parts(tmp_path: Path, suffix: str) -> None:
    inodes = [ROOT, *(ROOT._replace(ino=n, parent=1, name=b"%d" % n) for n in range(2, 2_600))]
    inodes.append(Inode(2_600, 2_599, b"last", 0, 0, 0, 0o100644, 0, 0, 0))
    with open_flist(write(tmp_path / f"a{suffix}", inodes)) as flist:
        paths = [path for path, _ in walk_contents(flist)]
        pieces = list(contents_json(flist))
    assert len(set(paths)) == len(paths) == 2_599
    assert paths[-1] == b"/2599/last"
    assert max(map(len, pieces)) < 200


def test_paths_without_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "MAX_PATHS_BYTES", 100)
    inodes = [ROOT, *(ROOT._replace(ino=n, parent=n - 1, name=b"d") for n in range(2, 20))]
    with open_flist(write(tmp_path / "a.fl", inodes)) as flist:
        with pytest.raises(FormatError, match="paths take more"):
            list(contents_json(flist))


@SUFFIXES
def test_block_ids_are_each_named_once(tmp_path: Path, suffix: str) -> None:
    big = bytes(range(256)) * 3000
    meta = make(tmp_path / f"a{suffix}", member("a", big), member("b", big), member("c", b"c"))
    with open_flist(meta) as flist:
        ids = list(block_ids(flist))
    stored = {path.name for path in (tmp_path / "blocks").glob("*/*")}
    assert {block_id.hex() for block_id in ids} == stored
    assert len(ids) == len(stored) == 3
