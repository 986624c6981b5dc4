"""Merging flists of both formats."""

from pathlib import Path

import pytest

from flist.format.opening import open_flist
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.servers import redis_server


def make_flists(tmp_path: Path, store: str) -> tuple[Path, Path]:
    """Make an older flist and a new one that share some paths."""
    trees = {
        "old": {"same": b"from the older", "dir/old": b"o" * 600_000, "both": b"equal"},
        "new": {"same": b"from the newer", "dir/new": b"n" * 600_000, "both": b"equal"},
    }
    for name, files in trees.items():
        for path, data in files.items():
            place = tmp_path / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        rfs("pack", "-m", tmp_path / f"{name}.fl", "-s", f"dir://{tmp_path}/{name}-blocks",
            "--tag", f"entrypoint={name}", tmp_path / name)  # fmt: skip
    rfs("convert", tmp_path / "old.fl", tmp_path / "old.flist", "-s", store)
    return tmp_path / "old.flist", tmp_path / "new.fl"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("suffix", [".fl", ".flist"])
@pytest.mark.parametrize("is_older_first", [True, False])
def test_both_formats_merge_into_either(tmp_path: Path, suffix: str, is_older_first: bool) -> None:
    with redis_server(tmp_path) as port:
        store = f"zdb://127.0.0.1:{port}"
        older, newer = make_flists(tmp_path, store)
        metas = [older, newer] if is_older_first else [newer, older]
        output = tmp_path / f"merged{suffix}"
        target = store if suffix == ".flist" else f"dir://{tmp_path}/target"
        rfs("merge", "-o", output, "-s", target, *metas)
        rfs("verify", "-m", output)
        rfs("unpack", "-m", output, tmp_path / "out")
    first = "older" if is_older_first else "newer"
    assert contents(tmp_path / "out") == {
        "same": f"from the {first}".encode(), "both": b"equal", "dir/old": b"o" * 600_000,
        "dir/new": b"n" * 600_000,
    }  # fmt: skip
    with open_flist(output) as flist:
        assert flist.tags() == {"entrypoint": "old" if is_older_first else "new"}
        urls = {route.url for route in flist.routes()}
    other = {f"dir://{tmp_path}/new-blocks", f"dir://{tmp_path}/target"}
    assert urls == ({store} if suffix == ".flist" else other)


def test_older_flists_merge_without_their_blocks(tmp_path: Path) -> None:
    """Nobody answers at their store."""
    older, _ = make_flists(tmp_path, f"dir://{tmp_path}/older")
    rfs("merge", "-o", tmp_path / "merged.flist", older, older)
    with open_flist(older) as before, open_flist(tmp_path / "merged.flist") as after:
        assert list(after.inodes()) == list(before.inodes())
        assert list(after.all_blocks()) == list(before.all_blocks())
        assert after.routes() == before.routes()


def test_a_merge_without_a_store_for_converted_blocks_is_refused(tmp_path: Path) -> None:
    older, newer = make_flists(tmp_path, f"dir://{tmp_path}/older")
    for output in ("a.fl", "a.flist"):
        done = rfs("merge", "-o", tmp_path / output, newer, older, check=False)
        assert done.returncode == 1
        assert "other format" in done.stderr
        assert not (tmp_path / output).exists()


def test_a_merge_fails_whole_if_a_block_is_missing(tmp_path: Path) -> None:
    older, newer = make_flists(tmp_path, f"dir://{tmp_path}/older")
    words = ["merge", "-o", str(tmp_path / "a.fl"), "-s", f"dir://{tmp_path}/target", "--wait", "0"]
    done = rfs(*words, "--from", f"dir://{tmp_path}/nothing", newer, older, check=False)
    assert done.returncode == 1
    assert not (tmp_path / "a.fl").exists()
