"""What a mount imports before it is up, which is most of the time that it takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import ROOT_INO, Inode, Route
from tests.helpers.checkout import TOP

HEAVY = frozenset((
    "asyncio", "blake3", "cramjam", "cryptography", "email", "hashlib", "http.client", "httpx",
    "json", "logging", "obstore", "pickle", "pydantic", "random", "rich", "shutil", "ssl",
    "structlog", "subprocess", "tempfile", "traceback", "urllib.request", "urllib3", "yaml",
    "zstandard",
))  # fmt: skip
"""A store, a read or a failure may need these; a mount is up before."""
SCRIPT = """
import sys
from flist import cli
from flist.mount.fuse import server

def attach(target, flags):
    print(*sys.modules, sep=chr(10))
    print(*("path:" + entry for entry in sys.path), sep=chr(10))
    raise SystemExit(0)

server.attach = attach
sys.path.append(sys.argv[1])
cli.main(sys.argv[2:], "rfs")
"""


@pytest.fixture(name="meta")
def make_meta(tmp_path: Path) -> Path:
    """Write a flist of an empty directory, and make the folders m/inside and m-beside."""
    (tmp_path / "m/inside").mkdir(parents=True)
    (tmp_path / "m-beside").mkdir()
    root = Inode(ROOT_INO, 0, b"/", 0, 0, 0, 0o40755, 0, 0, 0)
    store = Route(0, 255, f"dir://{tmp_path}/blocks")
    write_flist(tmp_path / "a.fl", Tables([root], {}, {}, {}, [store]))
    return tmp_path / "a.fl"


def loaded(meta: Path, path: Path) -> set[str]:
    """Return the modules that a mount on the folder `m` has imported when it is about to be up,
    with `path` in `sys.path`, and what is then in `sys.path`."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, path, "mount", "-m", meta, meta.parent / "m"],
        cwd=TOP, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_a_mount_is_up_before_anything_heavy_is_imported(meta: Path) -> None:
    names = loaded(meta, meta.parent / "m-beside")
    assert "flist.mount.fuse.server" in names
    assert not names & HEAVY
    assert f"path:{meta.parent}/m-beside" in names


@pytest.mark.parametrize("name", ["m", "m/inside"])
def test_nothing_is_imported_from_what_a_mount_hides(meta: Path, name: str) -> None:
    names = loaded(meta, meta.parent / name)
    assert names.issuperset(("flist.blocks.codec", "json", "random"))
    assert f"path:{meta.parent}/{name}" not in names
