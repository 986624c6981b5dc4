"""Archives of packages: what is read, what is unpacked, and what must not leave the folder."""

import io
import tarfile
from pathlib import Path

import pytest

from common.debian.archive import PackageError, link_target, open_archive

LIBRARY = "usr/lib/x/libc.so.6"


def make_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a member of mode 0444."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode, member.mtime = kind, link, 0o444, 7
    return member


def write_archive(path: Path, *members: tarfile.TarInfo) -> Path:
    """Write an archive; each regular file holds its own name."""
    with tarfile.open(path, "w") as archive:
        for member in members:
            content = member.name.encode() if member.isreg() else b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return an archive with a member of each kind."""
    return write_archive(
        tmp_path / "packages.tar",
        make_member("./", tarfile.DIRTYPE),
        make_member("./usr/lib/x/", tarfile.DIRTYPE),
        make_member(f"./{LIBRARY}"),
        make_member("./usr/lib/x/libc.so", tarfile.SYMTYPE, "libc.so.6"),
        make_member("./usr/lib/hard", tarfile.LNKTYPE, f"./{LIBRARY}"),
        make_member("./lib64", tarfile.SYMTYPE, "/usr/lib"),
        make_member("./gone", tarfile.SYMTYPE, "nowhere"),
        make_member("./loop", tarfile.SYMTYPE, "loop"),
        make_member("./dev/console", tarfile.CHRTYPE),
        make_member("./dev/sda", tarfile.BLKTYPE),
        make_member("./run/pipe", tarfile.FIFOTYPE),
    )


def test_paths_are_plain_and_sorted_and_device_nodes_are_left_out(path: Path) -> None:
    with open_archive(path) as archive:
        files = ["usr/lib/hard", "usr/lib/x", "usr/lib/x/libc.so", LIBRARY]
        assert archive.paths == ["gone", "lib64", "loop", *files]
        assert LIBRARY in archive
        assert "dev/console" not in archive
        assert archive.member(LIBRARY).mtime == 7


def test_links_are_read_as_the_file_they_lead_to(path: Path) -> None:
    with open_archive(path) as archive:
        for name in (LIBRARY, "usr/lib/hard", "usr/lib/x/libc.so"):
            assert archive.read(name) == f"./{LIBRARY}".encode()


@pytest.mark.parametrize("name", ["usr/lib/x", "gone", "loop"])
def test_only_files_have_content(path: Path, name: str) -> None:
    with open_archive(path) as archive:
        with pytest.raises(PackageError, match=f"/{name} from .*: not a regular file"):
            archive.read(name)


def test_a_missing_path_is_named_with_a_hint(path: Path) -> None:
    with open_archive(path) as archive, pytest.raises(PackageError, match="/absent") as caught:
        archive.read("absent")
    assert caught.value.hint == f"remove {path}; it is fetched again"


def test_unpacked_files_are_writable_and_links_stay_in_the_folder(
    path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "root"
    with open_archive(path) as archive:
        archive.unpack(archive.paths, folder)
    for name in (LIBRARY, "usr/lib/hard", "usr/lib/x/libc.so", "lib64/x/libc.so.6"):
        assert (folder / name).read_text() == f"./{LIBRARY}"
    assert (folder / LIBRARY).stat().st_mode & 0o777 == 0o644
    assert (folder / "lib64").readlink() == Path("usr/lib")
    assert not (folder / "dev").exists()


def test_no_file_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    path = write_archive(
        tmp_path / "packages.tar",
        make_member("a", tarfile.SYMTYPE, str(outside)),
        make_member("a/file"),
    )
    with open_archive(path) as archive, pytest.raises(FileExistsError):
        archive.unpack(archive.paths, tmp_path / "root")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "target", "expected"),
    [
        ("usr/lib/a", "b", "b"),
        ("usr/lib/a", "../x/b", "../x/b"),
        ("usr/lib/a", "/etc/b", "../../etc/b"),
        ("a", "/usr/b", "usr/b"),
        ("usr/a", "../../../etc/passwd", "../etc/passwd"),
        ("a", "/../../etc", "etc"),
    ],
)
def test_links_are_relative_and_confined(path: str, target: str, expected: str) -> None:
    assert link_target(path, target) == expected


@pytest.mark.parametrize("name", ["../a", "usr/../../a", "/etc/passwd", "usr/.."])
def test_a_path_outside_the_tree_is_refused(tmp_path: Path, name: str) -> None:
    path = write_archive(tmp_path / "packages.tar", make_member(name))
    with pytest.raises(PackageError, match="leads out of the archive"):
        open_archive(path).__enter__()


@pytest.mark.parametrize("data", [b"", b"not an archive" * 100])
def test_a_broken_archive_is_refused_with_a_hint(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "packages.tar"
    path.write_bytes(data)
    for broken in (path, tmp_path / "absent"):
        with pytest.raises(PackageError, match=f"cannot read {broken}") as caught:
            open_archive(broken).__enter__()
        assert caught.value.hint == f"remove {broken}; it is fetched again"
