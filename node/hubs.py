"""Several hubs with the same flists: which answers first, and the next one when one fails.

Whichever hub a flist comes from, it counts only with a good signature, and each block only if its
hash is right. So the order of the hubs is a matter of speed alone.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import urllib3

from node.fetch import fetch_flist, open_pool
from node.model import NodeError

FIRST_S = 10.0
"""So long is waited for the first answer."""
OTHERS_S = 1.0
"""So much longer for the others, which only come behind."""
REFUSED = "ZB43"


def rank_hubs(hubs: Sequence[str], name: str, proxy: str = "") -> list[str]:
    """Return the hubs in the order in which they answered a question for flist `name`.

    All are asked at once. Those without a good answer come last, as they were named.
    """
    if len(hubs) == 1:
        return list(hubs)
    answers: queue.Queue[tuple[str, bool]] = queue.Queue()
    for hub in hubs:
        # One that never answers ends with its time-outs; nobody waits for it.
        threading.Thread(target=ask, args=(hub, name, proxy, answers), daemon=True).start()
    ranked: list[str] = []
    deadline = time.monotonic() + FIRST_S
    for _ in hubs:
        try:
            hub, is_good = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if is_good:
            deadline = min(deadline, time.monotonic() + OTHERS_S)
            ranked.append(hub)
    return ranked + [hub for hub in hubs if hub not in ranked]


def ask(hub: str, name: str, proxy: str, answers: "queue.Queue[tuple[str, bool]]") -> None:
    """Put into `answers` whether a hub has a signature of the flist."""
    is_good = False
    try:
        with open_pool(proxy, FIRST_S, FIRST_S) as pool:
            is_good = pool.request("HEAD", f"{hub}/{name}.fl.sig").status == 200
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    answers.put((hub, is_good))


def fetch_from_any(
    hubs: Sequence[str],
    name: str,
    target: Path,
    keys: list[bytes],
    limit_bytes: int,
    proxy: str,
    tell: Callable[[str], None],
) -> tuple[int, str]:
    """Do what `fetch_flist` does, from the first hub that can; return the size, and which it was.

    If none can, the error is the first one, but one about a signature goes before others.
    """
    errors: list[NodeError] = []
    for hub in hubs:
        try:
            return fetch_flist(hub, name, target, keys, limit_bytes, proxy), hub
        except NodeError as error:
            errors.append(error)
            if len(hubs) > 1:
                tell(f"{hub}: {error}")
    raise next((error for error in errors if error.code == REFUSED), errors[0])
