"""What keys cost a server of Zero-DB: memory for each, and the time to open its folders.

    python -m bench.zdb_keys 10000000 [FOLDER]

Fills a store with keys and values of 16 bytes, then opens it in processes of their own: as it was
closed, and without its index.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from zdb.storage.settings import NEVER, StoreSettings
from zdb.storage.store import Store

COMMIT_EVERY = 1000
SPREAD = 0x9E3779B97F4A7C15  # so that keys are in no order


def store_in(top: Path) -> Store:
    """Return the store in a folder."""
    return Store(top / "data", top / "index", StoreSettings(sync=NEVER))


def fill(top: Path, count: int) -> None:
    """Set all keys."""
    with store_in(top) as store:
        namespace = store.namespaces["default"]
        for number in range(count):
            key = (number * SPREAD % (1 << 128)).to_bytes(16, "little")
            namespace.set(key, b"%016d" % number)
            if number % COMMIT_EVERY == 0:
                store.commit()


def open_and_tell(top: Path, what: str) -> None:
    """Open the store, and print what that took."""
    began, worked, before = time.monotonic(), time.process_time(), peak_memory()
    with store_in(top) as store:
        count = store.namespaces["default"].entries
        worked = time.process_time() - worked
        peak = peak_memory()
        print(
            f"{what}: {count} keys in {time.monotonic() - began:.1f} s ({worked:.1f} s of processor"
            f" time); {peak / 1e6:.0f} MB of memory, {(peak - before) / count:.0f} bytes for each key"
        )


def peak_memory() -> int:
    """Return how many bytes of memory this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(count: int, folder: str | None) -> None:
    """Fill and open."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        top = Path(name)
        fill(top, count)
        for what in ("opened", "index made anew"):
            if what != "opened":
                for path in (top / "index/default").glob("i[0-9]*"):
                    path.unlink()
            call = [sys.executable, "-m", "bench.zdb_keys", "open", str(top), what]
            subprocess.run(call, check=True)


if __name__ == "__main__":
    if sys.argv[1] == "open":
        open_and_tell(Path(sys.argv[2]), sys.argv[3])
    else:
        main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
