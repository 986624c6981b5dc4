"""One process of the race in `test_postgres.py`: it publishes, or it collects garbage.

python -m tests.functional.flist.hub.state.racing ROOT DATABASE publish|collect NAME ROUNDS
"""

import hashlib
import sys
import time
from pathlib import Path

from flist.errors import StoreUnavailableError
from flist.hub.errors import InvalidError
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.garbage import Collector
from flist.hub.state.viewer import Viewer
from tests.helpers.flist.hub import make_flist

NEVER_S = 365 * 86400.0
SHARED = 3  # contents that all processes publish again and again


def publish(hub: Hub, viewer: Viewer, folder: Path, number: int) -> None:
    """Publish a flist as a client does: blocks first, and again if they were removed since."""
    data = make_flist(folder, folder, f"content {number % SHARED}")
    names = sorted((folder / "blocks").glob("*/*"))
    while True:
        for path in names:
            hub.blocks.put(viewer, bytes.fromhex(path.name), path.read_bytes(), is_open=True)
        draft = hub.contents.receive([data])
        try:
            hub.flists.publish(viewer, viewer.name, f"tree{number % SHARED}.fl", draft)
        except (InvalidError, StoreUnavailableError):
            continue  # the garbage collector was faster
        finally:
            draft.discard()
        return


def check(hub: Hub, viewer: Viewer) -> None:
    """Read all that is published, whole."""
    for entry in hub.flists.entries(viewer, viewer.name):
        hub.contents.place(entry.digest).unlink(missing_ok=True)
        data = hub.contents.path(entry.digest).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry.digest
        with hub.flists.open_version(viewer, entry.digest) as flist:
            for _, block in flist.all_blocks():
                hub.blocks.get(block.id)


def publish_all(hub: Hub, name: str, rounds: int) -> None:
    """Publish, read and remove."""
    account = hub.accounts.find(name)
    assert account is not None
    viewer = hub.accounts.viewer_of(account, ["read", "upload", "publish"])
    folder = hub.settings.root / name
    folder.mkdir()
    for number in range(rounds):
        publish(hub, viewer, folder, number)
        check(hub, viewer)
        if number % 2:
            hub.flists.delete(viewer, name, f"tree{number % SHARED}.fl")


def collect_all(hub: Hub, until_s: float) -> None:
    """Collect all that nothing needs at this moment, however young."""
    removed = 0
    while time.monotonic() < until_s:
        removed += Collector(hub.blocks, time.time() + NEVER_S).collect().removed
    sys.stdout.write(f"{removed}\n")


def main(root: str, database: str, task: str, name: str, rounds: str) -> None:
    """Run one process."""
    hub = open_hub(
        HubSettings(root=Path(root) / name, store=f"dir://{root}/store", database=database)
    )
    hub.contents.prepare()
    if task == "publish":
        publish_all(hub, name, int(rounds))
    else:
        collect_all(hub, time.monotonic() + float(rounds))
    hub.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
