"""`zdb check`, `repair`, `dump`, `export` and `import`, as functions and as commands."""

import argparse
import contextlib
import io
import json
import os
import re
from pathlib import Path

import pytest

from common.errors import UsageError
from zdb.errors import ZdbError
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.tools.checking import Report, check
from zdb.tools.commands import check as check_verb
from zdb.tools.commands import dump as dump_verb
from zdb.tools.commands import export as export_verb
from zdb.tools.commands import repair as repair_verb
from zdb.tools.commands import take as import_verb
from zdb.tools.dumping import dump
from zdb.tools.exporting import export
from zdb.tools.folders import Folders
from zdb.tools.importing import import_requests
from zdb.tools.repairing import repair

VALUES = {b"a": b"1", b"b": b"two", b"c": b"", b"big": b"x" * 300}
SETTINGS = StoreSettings(mode="mix", file_size=400, clock=lambda: 1_700_000_000.0)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Three namespaces with changes and deletions, over some files."""
    made = Folders(tmp_path / "data", tmp_path / "index")
    with Store(made.data, made.index, SETTINGS) as store:
        for name, mode in (("other", "user"), ("numbers", "seq")):
            store.create(name).change(password=b"secret", public=False)
            store.set_mode(name, mode)
        for name in ("default", "other"):
            for key, value in VALUES.items():
                store.namespaces[name].set(key, b"old")
                store.namespaces[name].set(key, value, 1_600_000_000)
            store.namespaces[name].set(b"gone", b"x")
            store.namespaces[name].delete(b"gone")
        numbers = store.namespaces["numbers"]
        keys = [numbers.set(b"", b"%d" % n) for n in range(40)]
        for number in keys[10:20]:
            numbers.set(number or b"", b"changed")
        for number in keys[15:25]:
            numbers.delete(number or b"")
    return made


def all_of(folders: Folders) -> dict[str, dict[bytes, bytes | None]]:
    """Return all keys and values."""
    from zdb.storage.scan import scan

    found: dict[str, dict[bytes, bytes | None]] = {}
    with Store(folders.data, folders.index, SETTINGS) as store:
        for name, space in store.namespaces.items():
            found[name], cursor = {}, None
            while page := scan(space, cursor):
                cursor = page.cursor
                found[name] |= {key: space.get(key) for key, _, _ in page.items}
    return found


def findings(reports: list[Report]) -> list[str]:
    return [finding for report in reports for finding in report.findings]


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip(path: Path, offset: int) -> None:
    blob = bytearray(path.read_bytes())
    blob[offset] ^= 0xFF
    path.write_bytes(blob)


def test_a_check_finds_nothing_and_changes_nothing(folders: Folders) -> None:
    before = content(folders.data.parent)
    reports = check(folders, [])
    assert findings(reports) == []
    assert [(one.name, one.entries) for one in reports] == [
        ("default", 4), ("numbers", 30), ("other", 4),
    ]  # fmt: skip
    assert content(folders.data.parent) == before


@pytest.mark.parametrize(
    ("place", "offset", "what"),
    [
        ("data/other/d0", 48, "d0: the value at"),
        ("data/other/d0", 30, "d0: .* bytes at 28 are damaged"),
        ("data/other/d0", 0, "not a data file"),
        ("index/other/i1", 31, "lacks the value at|no current value|is cut off"),
        ("index/other/i0", 0, "not an index file"),
        ("index/numbers/i0", 30, "lacks the value"),
        ("index/other/zdb-namespace", 0, "zdb-namespace: version"),
    ],
)
def test_a_check_names_damage(folders: Folders, place: str, offset: int, what: str) -> None:
    flip(folders.data.parent / place, offset)
    before = content(folders.data.parent)
    found = findings(check(folders, []))
    assert any(re.search(what, line) for line in found), found
    assert content(folders.data.parent) == before


def test_a_check_names_what_is_missing_and_torn(folders: Folders) -> None:
    (folders.index / "other/i0").unlink()
    (folders.index / "numbers/zdb-namespace").unlink()
    last = max((folders.data / "default").glob("d*"), key=lambda path: int(path.name[1:]))
    os.truncate(last, last.stat().st_size - 1)
    found = "\n".join(findings(check(folders, [])))
    assert "other/i0 is missing" in found
    assert "numbers/zdb-namespace is missing" in found
    assert "are torn" in found


def test_a_flag_that_is_missing_is_found(folders: Folders) -> None:
    path = folders.index / "other/i0"
    blob = bytearray(path.read_bytes())
    assert blob[29 + 13] == 1
    blob[29 + 13] = 0
    path.write_bytes(blob)
    assert findings(check(folders, ["other"])) == [
        f"{path} has an entry for what is at 28 of the data: no current value"
    ]


@pytest.mark.parametrize("name", ["other", "numbers"])
def test_a_repair_makes_the_index_anew(folders: Folders, tmp_path: Path, name: str) -> None:
    before, values = content(folders.index), all_of(folders)
    for path in (folders.index / name).glob("i[1-9]*"):
        path.write_bytes(b"nonsense")
    done = repair(folders, [name], tmp_path / "aside")
    assert done.namespaces == {name: len(values[name])}
    assert content(folders.index) == before
    assert all_of(folders) == values


def test_a_repair_closes_a_namespace_that_has_lost_its_settings(
    folders: Folders, tmp_path: Path
) -> None:
    flip(folders.index / "other/zdb-namespace", 0)
    flip(folders.data / "other/d0", 1)
    done = repair(folders, [], tmp_path / "aside")
    password = next(note for note in done.notes if "new password" in note).split()[-1]
    assert (tmp_path / "aside/other-zdb-namespace").is_file()
    with Store(folders.data, folders.index, SETTINGS) as store:
        space = store.namespaces["other"]
        assert (space.password, space.public) == (password.encode(), False)
        assert space.get(b"big") == VALUES[b"big"]
    assert findings(check(folders, [])) == []


def test_an_export_is_imported_with_the_same_numbers_and_times(
    folders: Folders, tmp_path: Path
) -> None:
    stream = io.BytesIO()
    count, damaged = export(folders, [], stream)
    assert (count, damaged) == (38 + 10 * 0 + stream.getvalue().count(b"DEL") * 2, [])
    stream.seek(0)
    other = Folders(tmp_path / "data2", tmp_path / "index2")
    import_requests(other, stream)
    assert all_of(other) == all_of(folders)
    with Store(other.data, other.index, SETTINGS) as store:
        space = store.namespaces["other"]
        found = space.entry(b"a")
        assert found is not None and found.record.time == 1_600_000_000
        assert (space.password, space.public) == (b"secret", False)
        assert store.namespaces["numbers"].mode == "seq"
    stream.seek(0)
    with pytest.raises(ZdbError, match="numbers already"):
        import_requests(other, stream)


@pytest.mark.parametrize(
    ("blob", "what"),
    [
        (b"hello\r\n", "request 1: not a file of"),
        (b"*1\r\n$4\r\nSTOP\r\n", "request 1: not one of"),
        (b"*2\r\n$3\r\nSET\r\n$1\r\na\r\n", "request 1: not one of"),
        (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nb\r\n", "request 1: it is cut off"),
        (b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\nb\r\n", "key needed"),
        (b"*2\r\n$6\r\nSELECT\r\n$1\r\nx\r\n", "Namespace not found"),
        (b"*99999999999999999999999999999999\r\n", "request 1: not a file of"),
    ],
)
def test_a_wrong_import_is_refused(tmp_path: Path, blob: bytes, what: str) -> None:
    with pytest.raises(ZdbError, match=what):
        import_requests(Folders(tmp_path / "d", tmp_path / "i"), io.BytesIO(blob))


def test_a_dump_shows_records_entries_and_settings(folders: Folders) -> None:
    data = list(dump(folders.data / "other/d0"))
    assert data[0] == {"file": "data", "version": 3, "created": 1_700_000_000, "number": 0}
    assert data[1]["key"] == b"a".hex() and data[1]["length"] == 3
    index = list(dump(folders.index / "numbers/i0"))
    assert index[0]["mode"] == 1 and index[1]["key"] == bytes(8).hex()
    (row,) = dump(folders.index / "other/zdb-namespace")
    assert row["has_password"] is True and "secret" not in str(row)
    with pytest.raises(ZdbError, match="neither"):
        list(dump(folders.index / "other/zdb-checkpoint"))


def run(verb, *words: object) -> int:  # type: ignore[no-untyped-def]
    parser = argparse.ArgumentParser()
    verb.add_arguments(parser)
    status: int = verb.run(parser.parse_args([str(word) for word in words]))
    return status


def test_the_commands(folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--data", folders.data, "--index", folders.index]
    assert run(check_verb, *places) == 0
    assert "other: 4 keys, 304 bytes\n" in capsys.readouterr().out
    assert run(export_verb, *places, "-o", tmp_path / "out") == 0
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    other = ["--data", tmp_path / "d", "--index", tmp_path / "i"]
    assert run(import_verb, *other, tmp_path / "out") == 0
    (tmp_path / "disk").mkdir()
    (tmp_path / "d").rename(tmp_path / "disk/data")
    (tmp_path / "i").rename(tmp_path / "disk/index")
    assert run(check_verb, "--disk", tmp_path / "disk", "--json") == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == {
        "default", "other", "numbers",
    }  # fmt: skip
    assert run(dump_verb, folders.data / "other/d0") == 0
    assert "offset=28 key=61 length=3 previous=0" in capsys.readouterr().out
    flip(folders.data / "other/d0", 50)
    assert run(check_verb, *places, "other") == 1
    assert run(repair_verb, *places, "--aside", tmp_path / "aside") == 0
    assert "other: 4 keys" in capsys.readouterr().out
    with pytest.raises(ZdbError, match="cannot find namespace x"):
        run(check_verb, *places, "x")
    with pytest.raises(UsageError, match="either --disk"):
        run(check_verb, "--data", folders.data)


def test_a_repair_writes_through_no_link(folders: Folders, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 100)
    file = folders.data / "default" / "d0"
    file.unlink()
    file.symlink_to(victim)
    with contextlib.suppress(ZdbError, OSError):
        repair(folders, ["default"], tmp_path / "aside")
    assert victim.read_bytes() == b"x" * 100
