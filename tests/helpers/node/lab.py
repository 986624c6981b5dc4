"""Two network namespaces with one cable: the node's network service, and a DHCP server."""

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
from tests.helpers.node import dhcpd

NODE = """
import os, sys
from pathlib import Path
from node.network.plan import parse_plan
from node.network.service import serve
from node.network.status import Status
from common.bootwords import find_ignored, read_words
words = read_words(sys.argv[2])
ignored = find_ignored(words)
plan = parse_plan(words.chosen(), ignored.append)
for line in ignored:
    print(line)
def links():
    return sorted({"dead0", "wire0", "wire1"} & set(os.listdir("/sys/class/net")))
sys.exit(serve(links, Path(sys.argv[1]), plan, Status(Path(sys.argv[3]), plan, ignored)))
"""

# Code for `Lab.start_node`: the node waits for shorter times than a real one.
QUICK = """
from node.network import choice, clients, machine
choice.PATIENCE_S, clients.FIRST_PAUSE_S = 1.0, 0.3
machine.FADING_S = 1.0
"""


class Lab:
    """The namespaces, and the programs that run in them."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.node, self.host = f"{name}-n", f"{name}-h"
        self.resolv_conf = folder / "resolv.conf"
        self.status_file = folder / "run" / "network.json"
        self.running: list[subprocess.Popen[bytes]] = []

    def ip(self, where: str, *words: str) -> str:
        """Run ip(8) in a namespace; return its output."""
        call = ["ip", "-n", where, *words]
        return subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout

    def add_cable(self, peer: str, wire: str, address: str) -> None:
        """Add a cable from the host's link `peer`, with an address, to the node's link `wire`."""
        words = ("type", "veth", "peer", wire, "netns", self.node)
        self.ip(self.host, "link", "add", peer, *words)
        self.ip(self.host, "link", "set", peer, "up")
        self.ip(self.host, "addr", "add", address, "dev", peer)

    def start(self, where: str, log: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a program in a namespace; its output goes to the file `log`."""
        with open(self.folder / log, "ab") as output:
            call = ["ip", "netns", "exec", where, *words]
            process = subprocess.Popen(call, stdout=output, stderr=output, cwd=TOP)
        self.running.append(process)
        return process

    def run(self, where: str, *words: str) -> str:
        """Run a program in a namespace to its end; return its output."""
        call = ["ip", "netns", "exec", where, *words]
        return subprocess.run(call, capture_output=True, text=True, timeout=60, check=True).stdout

    def start_dnsmasq(self, link: str, *words: str) -> subprocess.Popen[bytes]:
        """Start dnsmasq on a link of the host, without a name server."""
        return self.start(
            self.host,
            "dnsmasq.log",
            *(need_tool("dnsmasq"), "--keep-in-foreground", "--conf-file=/dev/null", "--port=0"),
            *(f"--interface={link}", "--bind-interfaces", "--dhcp-authoritative", "--log-dhcp"),
            *("--log-facility=-", "--user=root", "--pid-file", "--no-ping"),
            *(f"--dhcp-leasefile={self.folder / link}.leases", *words),
        )

    def serve(self, **plan: Any) -> subprocess.Popen[bytes]:
        """Start the tests' own server."""
        words = [sys.executable, str(dhcpd.__file__), "peer", json.dumps(plan)]
        return self.start(self.host, "server.log", *words)

    def start_node(self, code: str = "", words: str = "") -> subprocess.Popen[bytes]:
        """Start the node's network service with a kernel command line; it runs `code` first."""
        call = [sys.executable, "-c", code + NODE, str(self.resolv_conf), words]
        call.append(str(self.status_file))
        return self.start(self.node, "node.log", *call)

    def status(self) -> dict[str, Any]:
        """Return what the node says of its network; nothing so far if it has not begun."""
        try:
            found: dict[str, Any] = json.loads(self.status_file.read_text())
        except FileNotFoundError:
            return {"state": "", "links": [], "decisions": []}
        return found

    def said(self) -> str:
        """Return what the node has logged."""
        return (self.folder / "node.log").read_text()

    def asked(self) -> list[dict[str, Any]]:
        """Return the messages that the tests' own server got."""
        lines = (self.folder / "server.log").read_text().splitlines()
        return [json.loads(line) for line in lines if '"ready"' not in line]

    def addresses(self, link: str = "wire0", version: str = "-4") -> list[str]:
        """Return the node's IPv4 addresses, or its global IPv6 addresses with "-6"."""
        links = json.loads(self.ip(self.node, version, "-json", "addr", "show", "dev", link))
        infos = [info for link in links for info in link.get("addr_info", ())]
        return [
            f"{info['local']}/{info['prefixlen']}" for info in infos if info["scope"] == "global"
        ]

    def routes(self, version: str = "-4") -> dict[str, str]:
        """Return the gateway of each of the node's routes, "" for a network on the link."""
        routes = json.loads(self.ip(self.node, version, "-json", "route"))
        return {route["dst"]: route.get("gateway", "") for route in routes}

    def mtu(self) -> int:
        """Return the MTU of the node's link."""
        return int(json.loads(self.ip(self.node, "-json", "link", "show", "wire0"))[0]["mtu"])

    def close(self) -> None:
        """End the programs."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def open_lab(folder: Path) -> Iterator[Lab]:
    """Make the namespaces and the cable, and remove them in the end."""
    need_tool("ip")
    need_root()
    lab = Lab(folder, f"zos-{uuid.uuid4().hex[:6]}")
    with contextlib.ExitStack() as stack:
        for name in (lab.node, lab.host):
            subprocess.run(["ip", "netns", "add", name], timeout=60, check=True)
            stack.callback(subprocess.run, ["ip", "netns", "delete", name], timeout=60, check=False)
        # A neighbour that says that it is no router loses the default route.
        setting = "/proc/sys/net/ipv6/conf/all/forwarding"
        lab.run(lab.host, "sh", "-c", f"echo 1 > {setting}")
        lab.add_cable("peer", "wire0", "10.9.0.1/24")
        stack.callback(lab.close)
        yield lab
