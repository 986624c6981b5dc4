"""A LAN in network namespaces: a bridge, the server on it, a router and clients.

host    the bridge `lan0` with 10.9.0.1/24; `zos bootstrap lan` and the bootstrap server run here
router  10.9.0.2; another DHCP server may run here
client  10.9.0.77; asks as a machine's firmware does
"""

import contextlib
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.helpers.checkout import TOP
from tests.helpers.needs import need_root, need_tool
from tests.helpers.waiting import wait_until

SERVER = "http://10.9.0.1:8080"
LAN = "http://10.9.0.1:8090"
ZOS = [sys.executable, "-m", "zero_os", "bootstrap"]
STOP_S = 60
CLASSES = {
    0: "PXEClient:Arch:00000:UNDI:002001",
    7: "PXEClient:Arch:00007:UNDI:003000",
    9: "PXEClient:Arch:00009:UNDI:003000",
    11: "PXEClient:Arch:00011:UNDI:003000",
    16: "HTTPClient:Arch:00016:UNDI:003001",
    19: "HTTPClient:Arch:00019:UNDI:003001",
}


class LanLab:
    """The namespaces, and the programs that run in them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mark = uuid.uuid4().hex[:6]
        name, self.bridge = f"zos-{mark}", f"lan-{mark}"
        self.host, self.router, self.client = f"{name}-h", f"{name}-r", f"{name}-c"
        self.running: list[subprocess.Popen[bytes]] = []

    def ip(self, where: str, *words: str) -> str:
        """Run ip(8) in a namespace; return its output."""
        call = ["ip", "-n", where, *words]
        return subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout

    def run(self, where: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program in a namespace to its end."""
        call = ["ip", "netns", "exec", where, *words]
        return subprocess.run(
            call, capture_output=True, text=True, timeout=120, check=check, cwd=TOP
        )

    def start(self, where: str, log: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; its output goes to the file `log`."""
        with open(self.folder / log, "ab") as output:
            call = ["ip", "netns", "exec", where, *words]
            process = subprocess.Popen(call, stdout=output, stderr=output, cwd=TOP)
        self.running.append(process)
        return process

    def said(self, log: str) -> str:
        """Return what a program has printed."""
        return (self.folder / log).read_text()

    def serve(self, releases: Path, url: str = SERVER) -> subprocess.Popen[bytes]:
        """Start a bootstrap server."""
        address = url.removeprefix("http://")
        words = ["serve", "--listen", address, "--releases", str(releases), "--hub", f"{url}/hub"]
        process = self.start(self.host, "server.log", *ZOS, *words)
        self.wait_for(process, "server.log", f"listening on {url}", 600)
        return process

    def lan(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `zos bootstrap lan` on the bridge, and wait until it is ready or has ended.

        `said("lan.log")` is what this one says.
        """
        (self.folder / "lan.log").unlink(missing_ok=True)
        call = ["lan", "--interface", self.bridge, "--server", SERVER, "--farm", "4711"]
        process = self.start(self.host, "lan.log", *ZOS, *call, "--runmode", "dev", *words)
        self.wait_for(process, "lan.log", "ready: ", 600)
        return process

    def wait_for(
        self, process: subprocess.Popen[bytes], log: str, text: str, timeout_s: float
    ) -> None:
        """Wait until a program has printed `text`, or has ended."""
        wait_until(
            lambda: text in self.said(log) or process.poll() is not None, text, timeout_s=timeout_s
        )

    def start_router(self, *words: str) -> subprocess.Popen[bytes]:
        """Start another DHCP server, as the router of a home has one; `words` are more options."""
        process = self.start(
            self.router,
            "router.log",
            *(need_tool("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
            *("--interface=wire0", "--bind-interfaces", "--log-facility=-", "--user=root"),
            *("--pid-file", "--no-ping", f"--dhcp-leasefile={self.folder / 'router.leases'}"),
            *("--dhcp-range=10.9.0.50,10.9.0.60,255.255.255.0,2m", *words),
        )
        self.wait_for(process, "router.log", "sockets bound", 60)
        return process

    def boot(self, architecture: int, user_class: str = "") -> list[dict[str, Any]]:
        """Return what a machine's firmware is answered."""
        words = [sys.executable, "-m", "tests.helpers.lan.pxe", "wire0"]
        words += [str(architecture), CLASSES[architecture], user_class]
        answers: list[dict[str, Any]] = json.loads(self.run(self.client, *words).stdout)
        return answers

    def fetch(self, url: str) -> bytes:
        """Return what the client gets at a URL."""
        call = ["ip", "netns", "exec", self.client, need_tool("curl"), "-sSf", "-m", "60", url]
        return subprocess.run(call, capture_output=True, timeout=90, check=True).stdout

    @property
    def run_folder(self) -> Path:
        """Return where `zos bootstrap lan` has its files while it runs."""
        return Path(f"/run/zos-lan-{self.bridge}")

    def close(self) -> None:
        """End the programs."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def open_lan(folder: Path) -> Iterator[LanLab]:
    """Make the namespaces and cables, and remove them in the end."""
    need_root()
    need_tool("ip")
    need_tool("dnsmasq")
    need_tool("setpriv")
    lab = LanLab(folder)
    with contextlib.ExitStack() as stack:
        for name in (lab.host, lab.router, lab.client):
            subprocess.run(["ip", "netns", "add", name], timeout=60, check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], timeout=60, check=False)
        lab.ip(lab.host, "link", "set", "lo", "up")
        lab.ip(lab.host, "link", "add", lab.bridge, "type", "bridge")
        lab.ip(lab.host, "link", "set", lab.bridge, "up")
        lab.ip(lab.host, "addr", "add", "10.9.0.1/24", "dev", lab.bridge)
        for name, address in ((lab.router, "10.9.0.2/24"), (lab.client, "10.9.0.77/24")):
            port = name[-1]
            peer = ("peer", "name", "wire0", "netns", name)
            lab.ip(lab.host, "link", "add", port, "type", "veth", *peer)
            lab.ip(lab.host, "link", "set", port, "master", lab.bridge, "up")
            lab.ip(name, "link", "set", "wire0", "up")
            lab.ip(name, "addr", "add", address, "dev", "wire0")
        stack.callback(lab.close)
        yield lab
