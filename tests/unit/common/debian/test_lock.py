"""Lock files: what is written is read again, and nothing else is accepted."""

from pathlib import Path

import pytest

from common.debian.lock import LockError, load_sections, parse_lock, render_lock
from tests.helpers.debian import lock_package, make_lock

LOCK = make_lock(lock_package("one", b"1"), lock_package("two", b"22", "1:2.0+b1~x"))
TEXT = render_lock(LOCK, "debian")


def read(path: Path, text: str) -> object:
    path.write_text(text)
    return parse_lock(load_sections(path, ["debian"])["debian"], f"{path}, debian")


def test_a_lock_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path / "x.lock", TEXT) == LOCK
    assert [line for line in TEXT.splitlines() if line.startswith('  {name = "')][1].endswith("},")


def test_the_identity_is_that_of_the_packages() -> None:
    other = make_lock(*reversed(LOCK.packages))
    assert other.identity == LOCK.identity
    assert make_lock(lock_package("one", b"1")).identity != LOCK.identity
    assert make_lock(lock_package("one", b"x"), LOCK.packages[1]).identity != LOCK.identity


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[debian]", "[debian", r"x.lock: .*line 1"),
        ("[debian]", "[other]", "there is no 'debian'"),
        ("[debian]", "extra = 1\n[debian]", "unknown key 'extra'"),
        ('suite = "trixie"', 'suite = "trixie"\ncolour = "red"', "debian: unknown key 'colour'"),
        ('suite = "trixie"\n', "", "there is no 'suite'"),
        ('suite = "trixie"', 'suite = "../x"', r"suite is '\.\./x'"),
        ('suite = "trixie"', "suite = 13", "suite is 13"),
        ('["main"]', '"main"', "components is 'main'"),
        ('"20260101T000000Z"', '"yesterday"', "snapshot is 'yesterday'"),
        ('name = "one", ', "", r"package 1: there is no 'name'"),
        ('name = "one"', 'name = "two"', "a package stands in it twice"),
        ('name = "two"', 'name = "two", md5 = "0"', r"package 2 \(two\): unknown key 'md5'"),
        ('version = "1.0"', 'version = ""', r"package 1 \(one\): version is ''"),
        ('version = "1.0"', 'version = "1 0"', "version is '1 0'"),
        ('"amd64", source = "two"', '"i386", source = "two"', "two is for i386"),
        ("size = 2,", "size = 0,", "size is 0"),
        ("size = 2,", "size = true,", "size is True"),
        ("size = 2,", 'size = "2",', "size is '2'"),
        ("size = 2,", "size = 99999999999,", "size is 99999999999"),
        ("pool/main/o/one", "/etc/x", "path is"),
        ("pool/main/o/one", "pool/../x", "path is"),
        ("pool/main/o/one", "pool//x", "path is"),
        ('sha256 = "', 'sha256 = "0', "sha256 is"),
        (".deb", ".deb\\nX", "path is"),
    ],
)  # fmt: skip
def test_a_wrong_lock_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(LockError, match=message):
        read(tmp_path / "x.lock", TEXT.replace(old, new))


def test_an_unreadable_lock_is_named(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"absent.lock: No such file"):
        load_sections(tmp_path / "absent.lock", [])
    (tmp_path / "x.lock").write_bytes(b"\xff")
    with pytest.raises(LockError, match=r"cannot read .*x\.lock"):
        load_sections(tmp_path / "x.lock", [])
