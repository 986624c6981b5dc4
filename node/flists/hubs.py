"""Several hubs with the same flists: which answers first.

Whichever hub a flist comes from, it is verified, and so is each block. So the order of the hubs is
a matter of speed alone.
"""

import queue
import threading
import time
from collections.abc import Sequence

import urllib3

from node.flists.model import Wanted
from node.http import open_pool

FIRST_S = 10.0
"""So long is waited for the first answer."""
OTHERS_S = 1.0
"""So much longer for the others, which only come behind."""


def rank_hubs(hubs: Sequence[str], wanted: Wanted, proxy: str = "") -> dict[str, float | None]:
    """Return the hubs in the order in which they answered a question for the flist, and after how
    many seconds.

    All are asked at once. Those without a good answer come last, as they were named.
    """
    if len(hubs) == 1:
        return {hubs[0]: None}
    began = time.monotonic()
    path = f"{wanted.name}.fl" if wanted.sha256 else f"{wanted.name}.fl.sig"
    answers: queue.Queue[tuple[str, bool]] = queue.Queue()
    for hub in hubs:
        # One that never answers ends with its time-outs; nobody waits for it.
        threading.Thread(
            target=ask, args=(f"{hub}/{path}", hub, proxy, answers), daemon=True
        ).start()
    ranked: dict[str, float | None] = {}
    deadline = time.monotonic() + FIRST_S
    for _ in hubs:
        try:
            hub, is_good = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        if is_good:
            deadline = min(deadline, time.monotonic() + OTHERS_S)
            ranked[hub] = time.monotonic() - began
    return ranked | {hub: None for hub in hubs if hub not in ranked}


def ask(url: str, hub: str, proxy: str, answers: "queue.Queue[tuple[str, bool]]") -> None:
    """Put into `answers` whether a hub has what is at `url`."""
    is_good = False
    try:
        with open_pool(proxy, FIRST_S, FIRST_S) as pool:
            is_good = pool.request("HEAD", url).status == 200
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    answers.put((hub, is_good))
