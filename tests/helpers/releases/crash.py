"""Kills changes of a store at each of their writes, and looks at what is left.

    python -m tests.helpers.releases.crash FOLDER

Each write has two moments: before its name is given, and after that. A child does the change and
kills itself at the n-th; the parent then verifies the store as clients do and does the change
again. It prints a line for each kind of change, and fails at the first fault.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common.errors import ZosError
from image.channel.garbage import collect
from image.channel.roles import CHANNELS
from image.channel.signers import make_key
from image.channel.verify import verify_store
from image.release.store import hold_store
from tests.helpers.releases.clients import Ours
from tests.helpers.releases.store import Maintainer

POINTS_MAX = 300
Change = Callable[[Maintainer], object]


def rotate(role: str) -> Change:
    """Return the change that replaces the key of a role."""

    def change(maintainer: Maintainer) -> None:
        path = maintainer.top / "keys" / "new.pem"
        new = maintainer.key("new") if path.exists() else make_key(path)
        maintainer.keys_changed()
        first = f"{role}-1" if role == "root" else role
        old = maintainer.key(first).public_key.keyid
        maintainer.rotate(role, add=[new.public_key], remove=[old])

    return change


def collect_garbage(maintainer: Maintainer) -> None:
    """Remove all but what channels hold."""
    with hold_store(maintainer.layout, "a test"):
        collect(maintainer.open(), keep=0)


CHANGES: dict[str, Change] = {
    "publish": lambda it: it.publish("dev", "2.0"),
    "withdraw": lambda it: it.withdraw("1.1"),
    "renew": lambda it: it.renew("root", "targets", "prod"),
    "rotate timestamp": rotate("timestamp"),
    "rotate prod": rotate("prod"),
    "rotate root": rotate("root"),
    "gc": collect_garbage,
}


def die_at(point: int) -> None:
    """Make this process kill itself at the n-th moment of its writes."""
    moments = iter(range(POINTS_MAX))
    replace, unlink = Path.replace, Path.unlink

    def pass_moment() -> None:
        if next(moments) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def dying_replace(self: Path, target: Path) -> Path:
        pass_moment()
        result = replace(self, target)
        pass_moment()
        return result

    def dying_unlink(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        pass_moment()

    Path.replace = dying_replace  # type: ignore[assignment,method-assign]
    Path.unlink = dying_unlink  # type: ignore[method-assign]


def run_child(maintainer: Maintainer, change: Change, point: int) -> bool:
    """Do the change in a child that dies at `point`; return whether it was through before."""
    child = os.fork()
    if child == 0:
        die_at(point)
        status = 1
        try:
            change(maintainer)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, "the change failed"
    return not os.WIFSIGNALED(status)


def look(maintainer: Maintainer, clients: Ours) -> tuple[str, ...]:
    """Verify everything; return what each channel holds."""
    report = verify_store(maintainer.layout, maintainer.root, maintainer.now)
    assert report.is_good, [check for check in report.checks if not check.is_good]
    files = maintainer.files()
    return tuple(clients.update(files, name, maintainer.now).release for name in CHANNELS)


def try_change(base: Path, place: Path, name: str, change: Change) -> int:
    """Kill one kind of change at each moment; return how many moments there are."""
    root = (base / "keys" / "root.json").read_bytes()
    seen = Ours(root)
    before = look(Maintainer(base, root, time.time()), seen)
    for point in range(POINTS_MAX):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(base, place)
        maintainer, clients = Maintainer(place, root, time.time()), Ours(root)
        clients.trusted = seen.trusted
        is_through = run_child(maintainer, change, point)
        between = look(maintainer, clients)
        try:
            change(maintainer)
        except ZosError:  # it was done already
            assert name == "gc" or between != before or "rotate" in name, (name, point)
        after = look(maintainer, clients)
        assert between in (before, after), (name, point, before, between, after)
        if is_through:
            return point
    raise AssertionError(f"{name} never ends")


def main() -> None:
    """Try all changes on copies of one store."""
    top = Path(sys.argv[1])
    os.fsync = lambda _: None  # type: ignore[assignment]
    maintainer = Maintainer.begin(top / "base")
    for version in ("1.0", "1.1"):
        maintainer.publish("dev", version)
        maintainer.promote("dev", "prod")
    for name, change in CHANGES.items():
        print(f"{name}: {try_change(top / 'base', top / 'copy', name, change)}", flush=True)


if __name__ == "__main__":
    main()
