"""Tells the bootstrap server how far this boot has got: `POST /boot/<stage>`.

A report is a convenience for the farmer: it is tried once, in order, by a thread of its own, and
what can't be sent is missing. It never delays a boot, and nothing in it is trusted by the server.
"""

import contextlib
import json
import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.bootwords import hide_user
from node.http import open_pool
from node.model import BootParameters

CONNECT_S = 3.0
READ_S = 5.0
WAITING_MAX = 32  # reports that wait for a server that does not answer; further ones are dropped
DETAIL_MAX_CHARS = 500
NAME_MAX_CHARS = 64
DMI = Path("/sys/class/dmi/id")
SYS_NET = Path("/sys/class/net")
ROUTES = Path("/proc/net/route")
ROUTES_6 = Path("/proc/net/ipv6_route")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LINK = re.compile(r"[!-~]{1,15}")

Send = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True)
class MachineNames:
    """What tells this machine from others; each may be empty."""

    uuid: str
    mac: str
    serial: str


def read_machine(dmi: Path = DMI, sys_net: Path = SYS_NET) -> MachineNames:
    """Return the machine's names, as iPXE has reported them before."""
    uuid = read_line(dmi / "product_uuid").lower()
    link = find_link()
    return MachineNames(
        uuid if UUID.fullmatch(uuid) else "",
        read_line(sys_net / link / "address") if link else "",
        read_line(dmi / "product_serial")[:NAME_MAX_CHARS],
    )


def read_line(path: Path) -> str:
    """Return the printable ASCII text of a small file, "" if it can't be read."""
    try:
        text = path.read_text("ascii", errors="replace").strip()
    except OSError:
        return ""
    return text if text.isascii() and text.isprintable() else ""


def find_link(routes: Path = ROUTES, routes_6: Path = ROUTES_6) -> str:
    """Return the link of the default route, "" without one."""
    rows = [row.split() for path in (routes, routes_6) for row in read_rows(path)]
    for row in rows:
        is_default = (len(row) > 7 and row[1] == row[7] == "00000000") or (
            len(row) == 10 and row[0] == "0" * 32 and row[1] == "00" and row[9] != "lo"
        )
        if is_default:
            link = row[9] if len(row) == 10 else row[0]
            return link if LINK.fullmatch(link) and "/" not in link else ""
    return ""


def read_rows(path: Path) -> list[str]:
    """Return the lines of a table of the kernel."""
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


class Reporter:
    """Sends reports of one boot; without a bootstrap server it does nothing."""

    def __init__(
        self,
        parameters: BootParameters,
        machine: MachineNames,
        version: str,
        send: Send | None = None,
    ) -> None:
        self.server = parameters.bootstrap
        self.send = send or Sender(parameters).send
        fields = {
            "uuid": machine.uuid,
            "mac": machine.mac,
            "serial": machine.serial,
            "farm": parameters.farm,
            "mode": parameters.runmode,
            "version": version,
            "enrol": parameters.enrol,
        }
        self.fields: dict[str, object] = {name: value for name, value in fields.items() if value}
        self.waiting: queue.Queue[tuple[str, dict[str, object]]] = queue.Queue(WAITING_MAX)
        self.thread: threading.Thread | None = None

    def reached(self, stage: str) -> None:
        """Report a stage."""
        self.put(stage, {})

    def failed(self, code: str, detail: str) -> None:
        """Report what keeps the node from booting."""
        words = {"code": code, "detail": hide_user(detail)[:DETAIL_MAX_CHARS]}
        self.put("failed", {name: value for name, value in words.items() if value})

    def put(self, stage: str, words: dict[str, str]) -> None:
        """Have a report sent, or drop it if too many wait."""
        if not self.server:
            return
        try:
            self.waiting.put_nowait((stage, self.fields | words))
        except queue.Full:
            return
        if self.thread is None:
            self.thread = threading.Thread(target=self.work, daemon=True)
            self.thread.start()

    def work(self) -> None:
        """Send what waits, one report after another; never returns."""
        while True:
            stage, fields = self.waiting.get()
            with contextlib.suppress(Exception):  # it is then missing, whatever the reason
                self.send(stage, fields)
            self.waiting.task_done()


class Sender:
    """Posts reports to the bootstrap server."""

    def __init__(self, parameters: BootParameters) -> None:
        self.url = parameters.bootstrap
        self.pool = open_pool(parameters.proxy, CONNECT_S, READ_S)

    def send(self, stage: str, fields: dict[str, object]) -> None:
        """Post one report; raises what urllib3 raises."""
        response = self.pool.request(
            "POST",
            f"{self.url}/boot/{stage}",
            body=json.dumps(fields).encode(),
            headers={"Content-Type": "application/json"},
            redirect=False,
            preload_content=False,
        )
        response.close()
