"""Commands of a user without permission fail with a message before any work."""

import encodings.idna  # noqa: F401 imported late otherwise, when the other user can't read it
import importlib
import os
import pkgutil
import stat
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import flist
from common.errors import run_command
from flist import cli
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.trees import make_small_tree
from tests.helpers.needs import need_root

UID = 4321


class Said(NamedTuple):
    """The status and the output of a command."""

    status: int
    text: str


AsUser = Callable[..., Said]


@pytest.fixture(name="tmp_path")
def use_open_path(open_path: Path) -> Path:
    """Use a folder that another user may enter."""
    return open_path


@pytest.fixture(name="as_user")
def make_as_user() -> AsUser:
    """Return a function that runs a command line as another user without a home directory."""
    need_root()
    for module in pkgutil.walk_packages(flist.__path__, "flist."):
        if not module.name.startswith("flist.hub"):
            importlib.import_module(module.name)

    def run(*words: str | Path) -> Said:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            become_user(writing, list(map(str, words)))
        os.close(writing)
        with open(reading) as stream:
            text = stream.read()
        return Said(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text)

    return run


def become_user(output: int, words: list[str]) -> None:
    """Run a command in this child process as the other user; never returns."""
    status = 99
    try:
        for number in (1, 2):
            os.dup2(output, number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.setgroups([])
        os.setgid(UID)
        os.setuid(UID)
        os.environ.update(HOME="/nonexistent")
        for name in ("ZOS_CACHE", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        status = run_command(lambda argv: cli.main(argv, "rfs"), words, "rfs")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


@pytest.fixture(name="place")
def make_place(tmp_path: Path) -> Path:
    """Make a flist and its tree, readable by all, and `own`, the other user's folder."""
    need_root()
    tree = make_small_tree(tmp_path / "tree")
    (tree / "one").chmod(0o4755)
    (tree / "sub").chmod(0o755)
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    (tmp_path / "own").mkdir()
    os.chown(tmp_path / "own", UID, UID)
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "x").touch()
    return tmp_path


def test_a_lack_of_permission_is_reported_before_any_work(place: Path, as_user: AsUser) -> None:
    own, closed, meta, store = place / "own", place / "closed", place / "a.fl", "dir://{}/b"
    own_store = store.format(own)
    calls: list[tuple[list[str | Path], Path]] = [
        (["pack", "-m", own / "b.fl", "-s", own_store, closed], closed),
        (["pack", "-m", place / "b.fl", "-s", own_store, place / "tree"], place / "b.fl"),
        (["clone", "-m", meta, "-s", own_store], meta),
        (["convert", "-m", meta, "-o", place / "b.fl", "-s", own_store], place / "b.fl"),
        (["merge", "-o", place / "b.fl", meta, meta], place / "b.fl"),
        (["unpack", "-m", meta, place / "new"], place / "new"),
        (["unpack", "-m", meta, "--store", f"dir://{closed}", own / "new"], closed),
        (["config", "-m", meta, "tag", "add", "-t", "a=b"], meta),
        (["keygen", place / "key"], place / "key"),
        (["prefetch", "-m", meta, "-c", closed / "cache"], closed / "cache"),
        (["exists", "-s", f"dir://{closed}", meta], closed),
        (["gc", "--keep", meta, "--", closed], closed),
        (["download", "-o", closed / "new", "-s", "http://127.0.0.1:1", "0" * 64], Path()),
    ]
    before = sorted(place.rglob("*"))
    for words, named in calls:
        done = as_user(*words)
        assert done.status == 1, (words, done)
        assert "Traceback" not in done.text
        assert named == Path() or (str(named) in done.text and "ermission denied" in done.text)
        if (own / "new").exists():  # created before the first block was fetched
            assert not any(path.is_file() for path in (own / "new").rglob("*"))
            for folder in sorted((own / "new").rglob("*"), reverse=True):
                folder.rmdir()
            (own / "new").rmdir()
        assert sorted(place.rglob("*")) == before, words


def test_a_user_without_a_home_can_pack(place: Path, as_user: AsUser) -> None:
    words = ["pack", "-m", place / "own" / "a.fl", "-s", f"dir://{place}/own/b", place / "tree"]
    for _ in range(2):
        assert as_user(*words).status == 0
    assert (place / "own" / "a.fl").stat().st_uid == UID


def test_a_signature_that_cannot_be_written(place: Path, as_user: AsUser) -> None:
    assert as_user("keygen", place / "own" / "key").status == 0
    done = as_user("sign", "-m", place / "a.fl", "-k", place / "own" / "key", "-n", "a/b")
    assert done.status == 1
    assert f"{place}/a.fl.sig: Permission denied" in done.text
    assert not list(place.glob(".*"))


def test_owners_that_cannot_be_restored_are_reported(place: Path, as_user: AsUser) -> None:
    """The content is restored, but a setuid program does not become setuid to the wrong owner."""
    out = place / "own" / "out"
    for _ in range(2):  # the second run tries to set the owner again
        done = as_user("unpack", "-p", "-m", place / "a.fl", out)
        assert done.status == 1
        assert "owner 0:0: Operation not permitted" in done.text
    assert (out / "one").read_bytes() == (place / "tree" / "one").read_bytes()
    assert stat.S_IMODE((out / "one").stat().st_mode) == 0o755
    done = as_user("unpack", "-m", place / "a.fl", place / "own" / "other")
    assert done.status == 0
    assert f"{place}/own/other/one: setuid or setgid: it has another owner" in done.text
