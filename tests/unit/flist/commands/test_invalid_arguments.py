"""Invalid command lines: a message, an exit status, and no partial result."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from common.errors import run_command
from flist import cli
from flist.http.urls import hide_secrets
from flist.values import parse_path
from tests.helpers.flist.trees import make_small_tree

NO_NAME = "0" * 64
NOWHERE = "http://127.0.0.1:1"


class Said(NamedTuple):
    """The status and the output of a command."""

    status: int
    out: str
    err: str


Run = Callable[..., Said]


@pytest.fixture(name="run")
def make_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command line in this process."""
    monkeypatch.setenv("RFS_TOKEN", "")

    def run(*words: str | Path) -> Said:
        status = run_command(lambda argv: cli.main(argv, "rfs"), list(map(str, words)), "rfs")
        return Said(status, *capsys.readouterr())

    return run


@pytest.fixture(name="place")
def make_place(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a flist and files that are not flists, and change to it."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "own"))
    make_small_tree(tmp_path / "tree")
    done = run("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tmp_path / "tree")
    assert done.status == 0
    (tmp_path / "folder.fl").mkdir()
    (tmp_path / "empty.fl").touch()
    (tmp_path / "cut.fl").write_bytes((tmp_path / "a.fl").read_bytes()[:5000])
    (tmp_path / "odd.fl").write_bytes(bytes(range(256)) * 16)
    os.mkfifo(tmp_path / "pipe.fl")
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRONG = {
    "none.fl": "No such file",
    "folder.fl": "Is a directory",
    "empty.fl": "not a .fl file",
    "odd.fl": "not a .fl file",
    "cut.fl": "malformed",
    "pipe.fl": "not a regular file",
    "/dev/zero": "not a regular file",
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_not_flists(place: Path, run: Run, name: str) -> None:
    before = sorted(place.rglob("*"))
    for words in (
        ["tree", name],
        ["inspect", name],
        ["unpack", "-m", name, "new"],
        ["config", "-m", name, "tag", "add", "-t", "a=b"],
        ["clone", "-m", name, "-s", "dir:///x"],
        ["verify", "-m", name],
        ["prefetch", "-m", name, "-c", "new"],
        ["diff", name, "a.fl"],
        ["merge", "-o", "new.fl", name, "a.fl"],
        ["convert", "-m", name, "-o", "new.fl", "-s", "dir:///x"],
        ["gc", "--keep", name, "--", "blocks"],
        ["publish", "-m", name, "-s", NOWHERE, "a/b.fl"],
    ):
        done = run(*words)
        assert done.status == (2 if words[0] == "diff" else 1), words
        assert WRONG[name] in done.err
        assert name in done.err
        assert done.err.count("\n") <= 2
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "unknown scheme"),
        ("x", "unknown scheme"),
        ("ftp://x/y", "unknown scheme"),
        ("dir://rel/x", "not absolute"),
        ("http://[bad", "Invalid IPv6"),
        ("redis://[::1", "Invalid IPv6"),
        ("http://h:x/", "Port could not"),
        ("http://h:99999/", "out of range"),
        ("http://a b/", "characters"),
        ("http://h/\n", "characters"),
        ("s3://a:b@h:1", "no host or bucket"),
        ("server://x", "server://x"),
        ("ff-00=dir:///x", "not a range"),
        ("dir:///\udcff", "not UTF-8"),
    ],
)
def test_urls_that_are_not_stores(place: Path, run: Run, url: str, said: str) -> None:
    before = (place / "a.fl").read_bytes()
    for words in (
        ["pack", "-m", "new.fl", "-s", url, "tree"],
        ["clone", "-m", "a.fl", "-s", url],
        ["unpack", "-m", "a.fl", "--store", url, "new"],
        ["config", "-m", "a.fl", "store", "add", "-s", url],
    ):
        if said == "not UTF-8" and words[0] == "unpack":
            continue  # a folder with such a name can be read
        done = run(*words)
        # Folder and bucket are checked only when they are used.
        is_checked_later = said in ("not absolute", "no host or bucket", "server://x")
        if words[0] == "config" and is_checked_later:
            assert done.status == 0
            continue
        assert done.status == 2, words
        assert said in done.err
        assert is_checked_later or not (place / "new").exists()
    assert not (place / "new.fl").exists()
    assert is_checked_later or (place / "a.fl").read_bytes() == before


@pytest.mark.parametrize("url", ["", "x", "http://", "http://[", "http://h:x", "ftp://h"])
def test_urls_that_are_not_servers(place: Path, run: Run, url: str) -> None:
    for words in (
        ["upload", "-s", url, "tree/one"],
        ["download", "-s", url, "-o", "new", NO_NAME],
        ["track", "-s", url],
        ["sync", "-s", url, "-d", NOWHERE],
        ["publish", "-m", "a.fl", "-s", url, "a/b.fl"],
        ["tree", NO_NAME, "--server-url", url],
    ):
        assert run(*words).status == 2, words
    assert not (place / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pack", "-m", "new.fl", "-s", "dir:///x", ""], "it is empty"),
        (["unpack", "-m", "a.fl", ""], "it is empty"),
        (["mount", "-m", "a.fl", ""], "it is empty"),
        (["gc", "--keep", "a.fl", "--", ""], "it is empty"),
        (["unpack", "-m", "a.fl", "tree/one"], "not a directory"),
        (["gc", "--keep", "a.fl", "--", "nowhere"], "not a directory"),
        (["pack", "-m", "new.fl", "-s", "dir:///x", "--processes", "-1", "tree"], "0 to 256"),
        (["pack", "-m", "new.fl", "-s", "dir:///x", "--processes", "9999", "tree"], "0 to 256"),
        (["pack", "-m", "new.fl", "-s", "dir:///x", "--tag", "x", "tree"], "KEY=VALUE"),
        (["pack", "-m", "new.fl", "-s", "dir:///x", "--tag", "=x", "tree"], "KEY=VALUE"),
        (["config", "-m", "a.fl", "tag", "add", "-t", "a=b", "-t", "bad"], "KEY=VALUE"),
        (["config", "-m", "a.fl", "tag", "add", "-t", "k=\udcff"], "UTF-8"),
        (["mount", "-m", "a.fl", "-d", "-l", "folder.fl", "tree"], "cannot write log"),
        (["mount", "-m", "a.fl", "-d", "-l", "nowhere/log", "tree"], "cannot write log"),
        (["upload", "-s", NOWHERE, "pipe.fl"], "not a regular file"),
        (["publish", "-m", "a.fl", "-s", NOWHERE, "a/\u00fc b.fl"], "REPO/NAME.fl"),
        (["publish", "-m", "a.fl", "-s", NOWHERE, "../b.fl"], "REPO/NAME.fl"),
        (["sign", "-m", "a.fl", "-k", "my.pub", "-n", "x"], "public key"),
        (["track", "-s", NOWHERE, "--token", "a\nb"], "token"),
        (["tree", "a.fl", "-m", "cut.fl"], "two flists"),
        (["tree"], "no flist"),
        (["pack", "-m", "new.fl", "-s", NOWHERE, "tree"], "can only be read"),
        (["clone", "-m", "a.fl", "-s", NOWHERE], "can only be read"),
        (["pack", "-m", "pipe.fl", "-s", "dir:///x", "tree"], "not a regular file"),
        (["merge", "-o", "pipe.fl", "a.fl"], "not a regular file"),
        (["gc", "--keep", "a.fl", "blocks"], "gc DIR --keep FLIST"),
        (["unpack", "-m", f"{NOWHERE}/a.fl", "new"], "only `mount` takes an address"),
        (["prefetch", "-m", "a.fl", "--trace", "odd.fl"], "cannot read trace odd.fl"),
        (["prefetch", "-m", "a.fl", "--trace", "folder.fl"], "folder.fl: Is a directory\n"),
        (["mount", "-m", "a.fl", "-d", "--replay", "none", "tree"], "trace none: No such file"),
        (["mount", "-m", "a.fl", "-d", "--replay", "tree/one", "tree"], "trace tree/one: it is"),
        (["docker", "--archive", "odd.fl", "-s", "dir:///x"], "note: in odd.fl\n"),
        (["docker", "--oci-layout", "tree", "-s", "dir:///x"], "note: in tree\n"),
        (["verify", "-m", "a.fl", "--name", "b/c"], "no key is named"),
        (["unpack", "-m", "a.fl", "--signature", "x", "new"], "no key is named"),
        (["mount", "-m", "a.fl", "-d", "--name", "b/c", "tree"], "no key is named"),
        (["verify", "-m", "a.fl", "--key", "nokey"], "cannot read keys nokey: No such file"),
    ],
)
def test_invalid_arguments(place: Path, run: Run, words: list[str], said: str) -> None:
    before = sorted(place.rglob("*"))
    done = run(*words)
    assert done.status in (1, 2)
    assert said in done.err
    assert not done.out
    assert sorted(place.rglob("*")) == before
    assert run("config", "-m", "a.fl", "tag", "list").out == ""


def test_private_and_public_key_files_are_told_apart(place: Path, run: Run) -> None:
    run("keygen", "key")
    run("sign", "-m", "a.fl", "-k", "key", "-n", "a/b")
    done = run("verify", "-m", "a.fl", "--key", "key")
    assert done.status == 1
    assert "cannot read keys key: line 1 is a private key" in done.err
    assert run("verify", "-m", "a.fl", "--key", "key.pub").status == 0
    (place / "odd.sig").write_text("odd")
    done = run("verify", "-m", "a.fl", "--key", "key.pub", "--signature", "odd.sig")
    assert "odd.sig" in done.err


def test_a_key_pair_is_made_completely_or_not_at_all(
    place: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "mine.pub").write_text("another's")
    assert "mine.pub: it exists already" in run("keygen", "mine").err
    assert (place / "mine.pub").read_text() == "another's"

    def fail(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("flist.commands.keygen.write_atomic", fail)
    assert "new.pub: No space left" in run("keygen", "new").err
    assert sorted(path.name for path in place.glob("new*")) == []
    assert not (place / "mine").exists()


def test_only_flists_are_signed(place: Path, run: Run) -> None:
    run("keygen", "key")
    for name in WRONG:
        done = run("sign", "-m", name, "-k", "key", "-n", "a/b")
        assert done.status == 1
        assert WRONG[name] in done.err
    assert not list(place.glob("*.sig"))


def test_gc_removes_only_blocks(place: Path, run: Run) -> None:
    """Other files stay, even deeper ones with a block's name, as in the stores of other tools."""
    wanted = {path.relative_to(place) for path in (place / "blocks").rglob("*")}
    deep = place / "blocks" / "sha256"
    deep.mkdir()
    others = [deep / NO_NAME, place / "blocks" / "00", place / "blocks" / "note"]
    others[1].mkdir(exist_ok=True)
    (others[1] / ("1" * 64)).touch()
    for path in (others[0], others[2]):
        path.touch()
    flat, sharded = place / "blocks" / NO_NAME, place / "blocks" / "00" / NO_NAME
    flat.touch()
    sharded.touch()
    done = run("gc", "--keep", "a.fl", "--grace", "0", "--", "blocks")
    assert "removed 2 blocks" in done.out
    assert not flat.exists()
    assert not sharded.exists()
    assert all(path.exists() for path in (*others, others[1] / ("1" * 64)))
    assert all((place / path).exists() for path in wanted)


def test_secrets_are_not_shown(place: Path, run: Run) -> None:
    del place
    for url in ("s3://key:hunter2@h:1", "zz-ff=zdb://:hunter2@h", "ftp://u:hunter2@h/x",
                "server://x?token=hunter2", "http://u:hunter2@h:x/"):  # fmt: skip
        done = run("pack", "-m", "new.fl", "-s", url, "tree")
        assert done.status == 2
        assert "hunter2" not in done.err
        assert "***" in done.err
    assert hide_secrets("dir:///a:b@c") == "dir:///a:b@c"
    assert parse_path(".") == Path()
