"""Repeats what fails, with growing pauses, and says why."""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from common.bootcodes import describe
from common.errors import ZosError
from common.releases.layout import StoreError
from common.releases.manifest import UnfitError
from common.tuf.errors import MetadataError
from node.admission import REFUSED
from node.backoff import backoff_delays
from node.log import log as write_log
from node.model import NodeError
from node.problems import Problems
from node.report import Reporter

T = TypeVar("T")

# What `common` raises about the channel and its release.
CODES_OF_OTHERS = ((MetadataError, "ZB44"), (StoreError, REFUSED), (UnfitError, REFUSED))

log = partial(write_log, "bringup")


class Trying:
    """Repeats one part's steps: each failure is logged, each reason told once.

    What keeps the node from booting, so all that fails without a `part`, is shown on the screen and
    reported to the bootstrap server.
    """

    def __init__(self, reporter: Reporter, problems: Problems, part: str = "") -> None:
        self.reporter = reporter
        self.problems = problems
        self.part = part

    def until_done(self, step: Callable[[], T]) -> T:
        """Call `step` until it succeeds, with growing pauses."""
        for delay_s in backoff_delays():
            try:
                done = step()
            except (ZosError, OSError) as error:
                self.tell(error)
                prefix = f"{self.part}: " if self.part else ""
                log(f"{prefix}{error}; trying again in {delay_s:.1f} s")
                time.sleep(delay_s)
            else:
                self.problems.clear(self.part)
                return done
        raise AssertionError("the delays never end")

    def tell(self, error: Exception) -> None:
        """Show and report a failure, unless that was the last thing told."""
        code = code_of(error)
        if not self.problems.note(self.part, str(error), code):
            return
        if code and not self.part:
            write_log("Zero-OS", describe(code))
        if hint := getattr(error, "hint", None):
            log(f"hint: {hint}")
        if not self.part:
            self.reporter.failed(code, str(error))


def code_of(error: Exception) -> str:
    """Return the code (`common.bootcodes`) of what keeps a node from booting, "" without one."""
    if isinstance(error, NodeError):
        return error.code
    return next((code for kind, code in CODES_OF_OTHERS if isinstance(error, kind)), "")
