"""Builds a release as another person elsewhere: `python -m tests.functional.image.elsewhere FILE`.

FILE is a pickled `Order`. The caller changes user, clock, time zone and processors.
"""

import locale
import os
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from tests.helpers.image import frozen_function


@dataclass(frozen=True)
class Order:
    """What to build, and what the process must find around it."""

    output: Path
    keys: Path
    mirror: Path | None
    level: int
    frozen: dict[str, Any]
    user: int
    after: float  # the clock shows at least this time
    core: Path | None = None  # the folder of zos-core


def main() -> None:
    """Build the release."""
    order: Order = pickle.loads(Path(sys.argv[1]).read_bytes())
    os.umask(0o077)
    locale.setlocale(locale.LC_ALL, "")
    assert (os.getuid(), len(os.sched_getaffinity(0))) == (order.user, 1)
    assert time.time() > order.after
    for place, value in order.frozen.items():
        mock.patch(place, frozen_function(value)).start()
    from image.core.build import build_core
    from image.release.build import build_release

    release = build_release(
        order.output,
        flist_keys=order.keys,
        progress=print,
        level=order.level,
        mirror=order.mirror,
    )
    assert not release.reused
    if order.core:
        assert not build_core(order.core, progress=print, mirror=order.mirror).reused


if __name__ == "__main__":
    main()
