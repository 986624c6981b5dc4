"""The same inputs give the same bytes, whoever builds, where and when."""

import os
import pickle
import sys
import time
from pathlib import Path

import pytest

from common.run import run
from image.compare.releases import compare
from image.compare.sides import read_side
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
    release: Release, lock: ReleaseLock, frozen: Frozen, keys: Path, tmp_path: Path
) -> None:
    need_root()
    mirror, output, cache = (tmp_path / name for name in ("mirror", "output", "cache"))
    added = list(mirror_lock(lock, mirror, print))
    assert len(added) == len(lock.debian.packages) + len(lock.wheels)
    assert list(mirror_lock(lock, mirror, print)) == []
    for folder in (output, cache):
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    later = time.time() + (YEARS - 1) * 365 * 86400
    order = Order(output, keys, mirror, FAST, frozen, NOBODY, later)
    (tmp_path / "order").write_bytes(pickle.dumps(order))
    call = [*elsewhere(), sys.executable, "-m", "tests.functional.image.elsewhere"]
    env = {**ENVIRONMENT, "ZOS_CACHE": str(cache)}
    run([*call, tmp_path / "order"], timeout_s=BUILD_S, env=env, cwd=cache)
    assert compare(read_side(release.folder), read_side(output)) == []
    files = sorted(path.name for path in output.iterdir())
    assert files == sorted(path.name for path in release.folder.iterdir())
    for name in files:
        assert (output / name).read_bytes() == (release.folder / name).read_bytes(), name
        assert (output / name).stat().st_uid == NOBODY
    assert list((cache / "pool").iterdir()) == []
