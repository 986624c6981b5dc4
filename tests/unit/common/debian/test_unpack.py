"""Packages joined in one archive: what goes in, whose it is, and what is refused."""

import io
import random
import subprocess
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from common.debian.archive import PackageError, open_archive
from common.debian.unpack import Joiner
from tests.helpers.debian import lock_package, make_deb, make_member, simple_deb


def join(path: Path, **debs: bytes) -> Path:
    """Write an archive of packages."""
    with open(path, "wb") as target:
        joiner = Joiner(target)
        for name, deb in debs.items():
            joiner.add(lock_package(name, deb), io.BytesIO(deb))
        joiner.close()
    return path


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst"])
def test_every_compression_gives_the_same_files(tmp_path: Path, suffix: str) -> None:
    deb = simple_deb({"usr/bin/a": b"a" * 3_000_001, "etc/b": b"b"}, suffix)
    with open_archive(join(tmp_path / "x.tar", one=deb)) as archive:
        assert archive.paths == ["etc/b", "usr/bin/a"]
        assert archive.read("usr/bin/a") == b"a" * 3_000_001
        assert archive.member("etc/b").mtime == 7


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_package_is_not_decompressed_far_ahead(tmp_path: Path, suffix: str) -> None:
    """What is ahead would be copied again for each file: a package of firmware took 14 s."""
    deb = simple_deb({f"usr/{number}": bytes(4 << 20) for number in range(8)}, suffix)
    tracemalloc.start()
    try:
        join(tmp_path / "x.tar", one=deb)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_damaged_compression_is_an_error(tmp_path: Path, suffix: str) -> None:
    good = simple_deb({"usr/a": random.Random(1).randbytes(100_000)}, suffix)
    for bad in (good[:50_000] + bytes(100) + good[50_100:], good[:60_000]):
        with pytest.raises(PackageError, match="cannot unpack one"):
            join(tmp_path / "x.tar", one=bad)


def test_every_path_has_an_owner(tmp_path: Path) -> None:
    long = f"usr/share/{'x' * 200}"
    one, two = simple_deb({"etc/a": b"", long: b""}), simple_deb({"etc/b": b""})
    with open_archive(join(tmp_path / "x.tar", one=one, two=two)) as archive:
        assert archive.owner("etc/a") == archive.owner(long) == lock_package("one", one)
        assert archive.owner("etc/b") == lock_package("two", two)
        with pytest.raises(PackageError, match="cannot find /etc/c"):
            archive.owner("etc/c")


def test_an_archive_without_owners_says_so(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(make_member("etc/a"), io.BytesIO())
    with open_archive(tmp_path / "x.tar") as found:
        with pytest.raises(PackageError, match="cannot tell which package has /etc/a"):
            found.owner("etc/a")


def test_modes_owners_and_links_are_kept_and_names_of_users_are_not(tmp_path: Path) -> None:
    program = make_member("./usr/bin/su", b"su")
    program.mode, program.uid, program.gid = 0o4755, 5, 6
    deb = make_deb(
        [
            (program, b"su"),
            (make_member("./usr/bin/hard", b"./usr/bin/su", tarfile.LNKTYPE), b""),
            (make_member("./usr/bin/soft", b"/etc/x", tarfile.SYMTYPE), b""),
        ]
    )
    path = join(tmp_path / "x.tar", one=deb)
    with open_archive(path) as archive:
        member = archive.member("usr/bin/su")
        assert (member.mode, member.uid, member.gid) == (0o4755, 5, 6)
        assert member.uname == ""
        assert archive.read("usr/bin/hard") == b"su"
        assert archive.member("usr/bin/soft").linkname == "/etc/x"
    listed = subprocess.run(["tar", "-tf", path], check=True, capture_output=True, timeout=60)
    assert (listed.stdout.split(), listed.stderr) == (
        [b"./usr/bin/su", b"./usr/bin/hard", b"./usr/bin/soft"],
        b"",
    )


def test_documentation_is_left_out_but_no_licence(tmp_path: Path) -> None:
    deb = make_deb(
        [
            (make_member("./usr/share/doc", kind=tarfile.DIRTYPE), b""),
            (make_member("./usr/share/doc/one", kind=tarfile.DIRTYPE), b""),
            (make_member("./usr/share/doc/one/copyright", b"free"), b"free"),
            (make_member("./usr/share/doc/one/changelog.gz"), b""),
            (make_member("./usr/share/doc/one/examples", kind=tarfile.DIRTYPE), b""),
            (make_member("./usr/share/doc/one/examples/copyright", b"x"), b"x"),
            (make_member("./usr/share/doc/two", b"one", tarfile.SYMTYPE), b""),
            (make_member("./usr/share/man/man1/one.1.gz"), b""),
        ]
    )
    with open_archive(join(tmp_path / "x.tar", one=deb)) as archive:
        kept = ["usr/share/doc", "usr/share/doc/one", "usr/share/doc/one/copyright"]
        assert archive.paths == [*kept, "usr/share/doc/one/examples/copyright"]


@pytest.mark.parametrize(
    ("name", "kind", "target"),
    [
        ("../a", tarfile.REGTYPE, b""),
        ("/etc/a", tarfile.REGTYPE, b""),
        ("./usr/../../a", tarfile.REGTYPE, b""),
        ("./a", tarfile.LNKTYPE, b"../../etc/shadow"),
        ("./a", tarfile.LNKTYPE, b"/etc/shadow"),
        ("./dev/sda", tarfile.BLKTYPE, b""),
        ("./dev/x", tarfile.CHRTYPE, b""),
        ("./pipe", tarfile.FIFOTYPE, b""),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, name: str, kind: bytes, target: bytes) -> None:
    deb = make_deb([(make_member(name, target, kind), b"")])
    with pytest.raises(PackageError, match=r"cannot unpack one: .*(leads out|is neither)"):
        join(tmp_path / "x.tar", one=deb)


def test_two_packages_may_share_folders_and_nothing_else(tmp_path: Path) -> None:
    folder = (make_member("./etc", kind=tarfile.DIRTYPE), b"")
    one = make_deb([folder, (make_member("./etc/a"), b"")])
    two = make_deb([folder, (make_member("./etc/b"), b"")])
    with open_archive(join(tmp_path / "x.tar", one=one, two=two)) as archive:
        assert archive.paths == ["etc", "etc/a", "etc/b"]
        assert archive.owner("etc").name == "one"
    link = make_deb([(make_member("./etc", b"/root", tarfile.SYMTYPE), b"")])
    with pytest.raises(PackageError, match="unpack two: /etc/a is also in one"):
        join(tmp_path / "x.tar", one=one, two=one)
    with pytest.raises(PackageError, match="unpack two: /etc is also in one"):
        join(tmp_path / "x.tar", one=link, two=two)
    with pytest.raises(PackageError, match="unpack two: /etc/a is below a file or link of one"):
        join(tmp_path / "x.tar", one=link, two=simple_deb({"etc/a": b""}))


def test_unpacked_directories_have_their_packages_times(tmp_path: Path) -> None:
    """Also if a program unpacks member by member, and later packages put files into them."""
    folders = [(make_member(f"./{name}", kind=tarfile.DIRTYPE), b"") for name in ("a", "a/b")]
    one = make_deb([*folders, (make_member("./a/b/empty", kind=tarfile.DIRTYPE), b"")])
    two = make_deb([*folders, (make_member("./a/b/file"), b""), (make_member("./a/file"), b"")])
    path, root = join(tmp_path / "x.tar", one=one, two=two), tmp_path / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", path], check=True, timeout=60)
    times = {p.relative_to(root): p.stat().st_mtime for p in root.rglob("*")}
    assert len(times) == 5
    assert set(times.values()) == {7.0}


DEB = simple_deb({"a": b"content" * 100})


@pytest.mark.parametrize(
    "deb",
    [
        b"",
        b"!<arch>\n",
        DEB[:-120],
        DEB[:200],
        DEB.replace(b"data.tar.xz", b"data.tar.br"),
        DEB.replace(b"`\n", b"``", 1),
        DEB[:56] + b"x" + DEB[57:],
    ],
)
def test_a_broken_package_is_named(tmp_path: Path, deb: bytes) -> None:
    with pytest.raises(PackageError, match="cannot unpack one: "):
        join(tmp_path / "x.tar", one=deb)
