"""What the bootstrap server's boot log says of the node of `zos boot`."""

import time
from collections.abc import Iterator
from typing import NamedTuple

from bootstrap_server.nodes.bootlog import BootLog
from common.bootcodes import CODES


class Told(NamedTuple):
    """One report: its stage, in words for people, and how long ago it arrived."""

    stage: str
    text: str
    age_s: float


def read_reports(log: BootLog, farm: int) -> Iterator[Told]:
    """Yield the reports of the last boot of a farm's only node, in their order."""
    now_s = time.time()
    for machine in log.list_farm(farm)[:1]:
        for step in machine.boots[0].steps if machine.boots else ():
            code = CODES.get(step.code)
            reason = f" ({step.code}): {code.wrong}" if code else ""
            yield Told(step.stage, f"reported: {step.stage}{reason}", now_s - step.at_s)
