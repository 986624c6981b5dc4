"""Boots a node from its farm's image and follows it until its workload answers."""

import queue
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from common.errors import ZosError
from qemu.lines import Line
from qemu.machine import QemuMachine
from qemu.model import Firmware, MachineConfig, UsbBoot
from zero_os.boot.redis import ping
from zero_os.boot.reports import Told
from zero_os.boot.timeline import LAST_STAGE, Timeline

REDIS_PORT = 6379
MEMORY_MIB = 2048
POLL_S = 0.2


@dataclass(frozen=True)
class Node:
    """A node whose workload has answered."""

    machine: QemuMachine
    port: int  # on this machine, forwarded to the node's Redis
    answer: str


@contextmanager
def boot_node(
    image: Path,
    firmware: Firmware,
    timeline: Timeline,
    clock: Callable[[], float],
    *,
    on_stage: Callable[[str], None],
    timeout_s: float,
    reports: Callable[[], Iterable[Told]] = tuple,
) -> Iterator[Node]:
    """Boot a machine from the USB image and yield it once its workload has answered.

    `clock` returns seconds since the command began. Every stage is recorded in `timeline` and
    passed to `on_stage`, also those that `reports` returns, which were reported to the server. The
    machine is stopped when the block ends. Raises `ZosError` naming the stage that was not reached
    within `timeout_s`.
    """
    lines: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()

    def note(line: Line) -> None:  # called by the console's thread
        lines.put((clock(), line.text))

    config = MachineConfig(
        boot=UsbBoot(image), firmware=firmware, memory_mib=MEMORY_MIB, forwards=(REDIS_PORT,)
    )
    with QemuMachine(config, on_console_line=note) as machine:
        port = machine.forwarded_port(REDIS_PORT)
        deadline = time.monotonic() + timeout_s
        while True:
            read_lines(lines, timeline, on_stage)
            take_reports(reports(), timeline, clock(), on_stage)
            answer = ask_workload(port) if is_workload_due(timeline) else ""
            if answer:
                timeline.reach(LAST_STAGE, clock())
                on_stage(LAST_STAGE)
                break
            check_progress(machine, timeline, deadline)
            time.sleep(POLL_S)
        yield Node(machine, port, answer)


def read_lines(
    lines: "queue.SimpleQueue[tuple[float, str]]",
    timeline: Timeline,
    on_stage: Callable[[str], None],
) -> None:
    """Feed the console's new lines into the timeline."""
    while not lines.empty():
        at_s, text = lines.get()
        stage = timeline.read_line(text, at_s)
        if stage:
            on_stage(stage)


def take_reports(
    reports: Iterable[Told], timeline: Timeline, now_s: float, on_stage: Callable[[str], None]
) -> None:
    """Feed the reports of the node into the timeline."""
    for told in reports:
        if timeline.read_report(told.stage, now_s - told.age_s):
            on_stage(told.text)


def is_workload_due(timeline: Timeline) -> bool:
    """Return whether every stage before the workload was reached."""
    return timeline.missing == [LAST_STAGE] and timeline.farm is not None


def ask_workload(port: int) -> str:
    """Return the answer of the node's Redis to PING, or "" while there is none."""
    try:
        return ping("127.0.0.1", port)
    except OSError:
        return ""


def check_progress(machine: QemuMachine, timeline: Timeline, deadline: float) -> None:
    """Raise `ZosError` if the machine has ended or the deadline has passed."""
    reason = machine.why_ended()
    if reason is None and time.monotonic() > deadline:
        reason = "it took too long"
    if reason:
        raise ZosError(
            f"the node did not come up: {timeline.awaited!r} was not reached: {reason};"
            f" the console's last lines:\n{machine.console.tail()}",
            hint="a slower machine may need more time: --timeout SECONDS",
        )
