"""The report of an update: what changes, and what changelogs say about security."""

import gzip
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from common.debian.lock import LockedPackage
from image import cli
from image.commands import update as command
from image.lock import update
from image.lock.changes import (
    Change,
    Notice,
    changed_sources,
    is_newer_than,
    list_changes,
    parse_notices,
    read_notices,
)
from image.lock.model import LockedWheel, ReleaseLock, Request, read_lock, render
from tests.helpers.debian import lock_package, make_lock, simple_deb
from tests.helpers.needs import need_tool

CHANGELOG = """\
one (1:1.10-1) trixie-security; urgency=medium

  * Fix an overflow (CVE-2026-1234, CVE-2026-12345); see also CVE-2026-1234.

 -- A Person <a@example.org>  Mon, 05 Jan 2026 10:00:00 +0000

one (1:1.9-2) trixie; urgency=medium

  * Translate a message.

 -- A Person <a@example.org>  Sun, 04 Jan 2026 10:00:00 +0000

one (1:1.9-1) trixie; urgency=high

  * New upstream release, as announced in DSA-5555-1.

 -- A Person <a@example.org>  Sat, 03 Jan 2026 10:00:00 +0000

one (1:1.8-1) trixie; urgency=high

  * Fix CVE-2025-1111.
"""
WHEELS = [LockedWheel("x", v, f"x-{v}-py3-none-any.whl", 1, "0" * 64) for v in ("1", "2")]


def deb_of(version: str) -> bytes:
    """Return a package whose changelog begins with this text."""
    name = "usr/share/doc/one/changelog.Debian.gz"
    return simple_deb({"usr/bin/one": version.encode(), name: gzip.compress(CHANGELOG.encode())})


def release(wheel: LockedWheel, *packages: LockedPackage) -> ReleaseLock:
    return ReleaseLock(make_lock(*packages), (), (wheel,))


OLD = release(WHEELS[0], lock_package("gone", b"1"), lock_package("one", b"1", "1:1.8-1"))
DEB = deb_of("new")
NEW = release(WHEELS[1], lock_package("added", b"1"), lock_package("one", DEB, "1:1.10-1"))


def test_changes_are_listed() -> None:
    assert list_changes(OLD, NEW) == [
        Change("added", "", "1.0"),
        Change("gone", "1.0", ""),
        Change("one", "1:1.8-1", "1:1.10-1"),
        Change("wheel x", "1", "2"),
    ]
    assert list_changes(OLD, OLD) == []


def test_the_tools_of_a_build_are_told_from_what_is_in_the_release() -> None:
    old, new = (make_lock(lock_package("one", b"1", version)) for version in ("1", "2"))
    assert list_changes(replace(OLD, tools=old), replace(OLD, tools=new)) == [
        Change("tool one", "1", "2")
    ]
    assert set(changed_sources(OLD.debian, NEW.debian)) == {"one"}


def test_notices_end_at_the_old_version() -> None:
    need_tool("dpkg")
    notices = list(parse_notices("one", CHANGELOG, is_newer_than("1:1.8-1")))
    assert notices == [
        Notice("one", "1:1.10-1", "medium", ("CVE-2026-1234", "CVE-2026-12345")),
        Notice("one", "1:1.9-1", "high", ("DSA-5555-1",)),
    ]
    newest = list(parse_notices("one", CHANGELOG, is_newer_than("1:1.9-1+b2")))
    assert newest == notices[:1]
    assert list(parse_notices("one", CHANGELOG, is_newer_than("1:1.10-1"))) == []
    assert len(list(parse_notices("one", CHANGELOG, is_newer_than("0")))) == 3
    assert list(parse_notices("one", "no changelog\n", is_newer_than("0"))) == []


def test_a_kernels_hundreds_of_notices_are_one_line() -> None:
    ids = tuple(f"CVE-2026-{number}" for number in range(1000, 1200))
    line = command.describe_notice(Notice("linux", "2", "high", ids))
    assert line == f"  linux 2 (urgency high): {' '.join(ids[:6])} and 194 more"


def test_the_first_package_with_a_changelog_tells(tmp_path: Path) -> None:
    need_tool("dpkg")
    without, with_one = tmp_path / "a.deb", tmp_path / "b.deb"
    without.write_bytes(simple_deb({"usr/bin/a": b""}))
    with_one.write_bytes(DEB)
    assert len(read_notices("one", "1:1.8-1", [without, with_one])) == 2
    assert read_notices("one", "1:1.8-1", [without]) == []


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_command_writes_the_lock_and_reports(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    need_tool("dpkg")
    path, deb = tmp_path / "virt.lock", tmp_path / "one.deb"
    path.write_text(render(OLD))
    deb.write_bytes(DEB)
    request = Request("virt", path, ("one",), ("main",), "amd64", ())
    digest = NEW.debian.packages[1].sha256
    monkeypatch.setattr("image.lock.model.find_request", lambda _: request)
    monkeypatch.setattr(update, "find_files", lambda *_, **__: {digest: deb})
    monkeypatch.setattr(update, "make_lock", lambda *_, **__: NEW)
    assert cli.main(["update", *words], "zos image") == 0
    said = capsys.readouterr().out
    if words:
        value = json.load(io.StringIO(said))
        assert value["changes"][2] == {"name": "one", "old": "1:1.8-1", "new": "1:1.10-1"}
        assert value["notices"][1]["ids"] == ["DSA-5555-1"]
    else:
        assert said.splitlines() == [
            "added added 1.0",
            "removed gone 1.0",
            "one 1:1.8-1 -> 1:1.10-1",
            "wheel x 1 -> 2",
            "security notices:",
            "  one 1:1.10-1 (urgency medium): CVE-2026-1234 CVE-2026-12345",
            "  one 1:1.9-1 (urgency high): DSA-5555-1",
        ]
    assert read_lock(path) == NEW
    before = path.stat().st_mtime_ns
    assert cli.main(["update"], "zos image") == 0
    assert capsys.readouterr().out == command.render_text([], []) == "nothing changed\n"
    assert path.stat().st_mtime_ns == before
