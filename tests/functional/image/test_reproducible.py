"""The same inputs give the same bytes, whoever builds, where and when."""

import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

import packaging
from common.run import run
from image.compare.releases import compare
from image.compare.sides import read_side
from image.core.manifest import Core
from image.lock.model import ReleaseLock
from image.lock.update import mirror_lock
from image.model import Release
from tests.functional.image.conftest import FAST, Frozen
from tests.functional.image.elsewhere import Order
from tests.helpers.checkout import TOP
from tests.helpers.child import NOBODY
from tests.helpers.needs import need_root, need_tool

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages
BUILD_S = 600
YEARS = 7
ENVIRONMENT = {
    "LC_ALL": "C",
    "TZ": "Pacific/Kiritimati",
    "HOME": "/nonexistent",
    "USER": "nobody",
    "PYTHONHASHSEED": "4711",
    "PYTHONPATH": str(TOP),
    "SOURCE_DATE_EPOCH": "1",
    "TMPDIR": "/var/tmp",
}


def elsewhere() -> list[str]:
    """Return the words before a command: no network, one processor, another user and time.

    The user may read all files, since the checkout may be where only root may look.
    """
    need_tool("faketime")
    need_tool("setpriv")
    need_tool("taskset")
    need_tool("unshare")
    processor = str(min(os.sched_getaffinity(0)))
    right = "-all,+dac_read_search"
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    rights = [f"--{kind}={right}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    words = ["unshare", "--net", "taskset", "-c", processor, "setpriv", *user, *rights]
    return [*words, "faketime", "-f", f"+{YEARS}y"]


def test_another_user_elsewhere_years_later_gets_the_same_bytes(
    release: Release,
    core: Core,
    lock: ReleaseLock,
    core_lock: ReleaseLock,
    frozen: Frozen,
    keys: Path,
    tmp_path: Path,
) -> None:
    need_root()
    mirror, output, cache = (tmp_path / name for name in ("mirror", "output", "cache"))
    core_output = tmp_path / "core"
    added = list(mirror_lock(lock, mirror, print))
    assert len(added) == len(lock.debian.packages) + len(lock.wheels)
    assert list(mirror_lock(lock, mirror, print)) == []
    assert list(mirror_lock(core_lock, mirror, print))
    for folder in (output, core_output, cache):
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    later = time.time() + (YEARS - 1) * 365 * 86400
    order = Order(output, keys, mirror, FAST, frozen, NOBODY, later, core_output)
    (tmp_path / "order").write_bytes(pickle.dumps(order))
    call = [*elsewhere(), sys.executable, "-m", "tests.functional.image.elsewhere"]
    env = {**ENVIRONMENT, "ZOS_CACHE": str(cache)}
    run([*call, tmp_path / "order"], timeout_s=BUILD_S, env=env, cwd=cache)
    assert compare(read_side(release.folder), read_side(output)) == []
    for made, first in ((output, release.folder), (core_output, core.folder)):
        files = sorted(path.name for path in made.iterdir())
        assert files == sorted(path.name for path in first.iterdir())
        for name in files:
            assert (made / name).read_bytes() == (first / name).read_bytes(), name
            assert (made / name).stat().st_uid == NOBODY
    assert list((cache / "pool").iterdir()) == []


# What `build_release` imports beside the standard library.
WHEELS = ("bcrypt", "cffi", "cryptography", "packaging", "pycparser", "urllib3", "zstandard")


def build_by(
    call: Sequence[str | Path], release: Release, keys: Path, frozen: Frozen, folder: Path
) -> None:
    """Build the release again by another Python, and compare every byte."""
    output, cache = folder / "output", folder / "cache"
    for path in (output, cache):
        path.mkdir()
    for name in ("debian", "pool"):
        (cache / name).symlink_to(Path(os.environ["ZOS_CACHE"], name))
    order = Order(output, keys, None, FAST, frozen, os.getuid(), 0.0)
    (folder / "order").write_bytes(pickle.dumps(order))
    processor = min(os.sched_getaffinity(0))
    words = [*call, "-m", "tests.functional.image.elsewhere", folder / "order"]
    done = subprocess.run(
        ["taskset", "-c", str(processor), *words],
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(TOP), "ZOS_CACHE": str(cache)},
    )
    assert done.returncode == 0, done.stderr
    assert compare(read_side(release.folder), read_side(output)) == []
    for path in output.iterdir():
        assert path.read_bytes() == (release.folder / path.name).read_bytes(), path.name


@pytest.mark.matrix
def test_other_modes_of_python_give_the_same_bytes(
    release: Release, frozen: Frozen, keys: Path, tmp_path: Path
) -> None:
    need_tool("taskset")
    words = ["-O", "-X", "utf8=0", "-X", "no_debug_ranges", "-X", "importtime", "-B", "-s"]
    build_by([sys.executable, *words], release, keys, frozen, tmp_path)


@pytest.mark.matrix
def test_another_python_gives_the_same_bytes(
    release: Release, frozen: Frozen, keys: Path, tmp_path: Path
) -> None:
    need_tool("taskset")
    build_by([make_other_python(tmp_path / "venv")], release, keys, frozen, tmp_path)


def make_other_python(folder: Path) -> Path:
    """Return a Python of another version that has what a build needs."""
    names = [f"python3.{minor}" for minor in range(14, 10, -1) if minor != sys.version_info.minor]
    places = (Path(folder, name) for name in names for folder in os.get_exec_path())
    found = next((path for path in places if path.exists() and runs(path)), None)
    if found is None:
        pytest.skip(f"none of {', '.join(names)} is installed")
    run([found, "-m", "venv", folder], timeout_s=BUILD_S)
    text = (TOP / "requirements.lock").read_text()
    locked = re.findall(r"^(?:\S.*\n(?: .*\n)+)", text, re.MULTILINE)
    wanted = [row for row in locked if re.split("[=<> ;]", row)[0] in WHEELS]
    assert len(wanted) == len(WHEELS)
    lock = folder / "lock"
    lock.write_text("".join(wanted))
    call: list[str | Path] = [
        folder / "bin" / "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "-r",
        lock,
    ]
    run(call, timeout_s=BUILD_S)
    (library,) = folder.glob("lib/*/site-packages")
    (about,) = Path(packaging.__file__).parent.parent.glob("zero_os-*.dist-info")
    shutil.copytree(about, library / about.name)  # the project itself is on PYTHONPATH
    return folder / "bin" / "python"


def runs(python: Path) -> bool:
    """Return whether a Python can make environments; a version manager's stub may lead nowhere."""
    call: list[str | Path] = [python, "-c", "import ensurepip, venv"]
    return subprocess.run(call, capture_output=True, timeout=BUILD_S).returncode == 0
