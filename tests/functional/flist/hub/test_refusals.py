"""What the client reports when a hub accepts no uploads; and the empty file."""

from pathlib import Path

from tests.helpers.flist.hub import TOKEN, make_root
from tests.helpers.flist.mount import rfs, serving
from tests.helpers.flist.trees import make_small_tree


def test_uploads_to_a_read_only_hub_name_the_missing_flag(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    with serving(tmp_path / "hub") as hub:
        calls: list[list[str | Path]] = [
            ["publish", "-m", tmp_path / "a.fl", "-s", hub.url, "me/a.fl"],
            ["upload", "-s", hub.url, tree / "one"],
            ["website-publish", "-s", hub.url, tree],
        ]
        for words in calls:
            done = rfs(*words, check=False)
            assert done.returncode == 1
            assert f"cannot write to {hub.url}: nothing there takes that" in done.stderr
            assert "zos hub init" in done.stderr
        done = rfs("sync", "-s", hub.url, "-d", hub.url, check=False)
        assert done.returncode in (0, 1)


def test_a_refusal_is_told_in_the_hubs_words(tmp_path: Path) -> None:
    tree = make_small_tree(tmp_path / "tree")
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    with serving(make_root(tmp_path / "hub")) as hub:
        words: list[str | Path] = [
            "publish",
            "-m",
            tmp_path / "a.fl",
            "-s",
            hub.url,
            "--token",
            TOKEN,
            "me/a.fl",
        ]
        done = rfs(*words, check=False)
    assert done.returncode == 1
    assert f"cannot write to {hub.url}: it answered 422: " in done.stderr
    assert "block" in done.stderr


def test_an_empty_file_comes_back(tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    (tmp_path / "empty").touch()
    with serving(make_root(tmp_path / "hub")) as hub:
        name = rfs("upload", "-s", hub.url, "--token", TOKEN, tmp_path / "empty").stdout.strip()
        rfs("download", "-s", hub.url, "-o", tmp_path / "back", name)
    assert (tmp_path / "back").read_bytes() == b""
