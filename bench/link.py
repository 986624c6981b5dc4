"""A slow link to an HTTP server: two network namespaces, and a process between them that forwards
packets with the delay and the rate of the link.

tc's netem would do the same, but not every kernel has it; TUN interfaces are available everywhere.
"""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.helpers import run
from tests.helpers.flist.mount import end
from tests.helpers.waiting import wait_until

SERVER_ADDRESS = "10.231.17.1"
CLIENT_ADDRESS = "10.231.17.2"
PORT = 8000
TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
SERVE = """\
import functools, http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    def log_message(self, *args): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128  # the default of 5 drops concurrent connections
    def handle_error(self, *args): pass
handler = functools.partial(Handler, directory=sys.argv[1])
Server((sys.argv[2], int(sys.argv[3])), handler).serve_forever()
"""
CARRY = """\
import collections, os, select, sys, time
delay_s, bytes_per_s = float(sys.argv[3]) / 2000, float(sys.argv[4]) * 125000
ends = [int(sys.argv[1]), int(sys.argv[2])]
queues = {handle: collections.deque() for handle in ends}
free = dict.fromkeys(ends, 0.0)
while True:
    now = time.monotonic()
    first = min((queue[0][0] for queue in queues.values() if queue), default=now + 1)
    readable = select.select(ends, [], [], max(0, first - now))[0]
    now = time.monotonic()
    for handle in readable:
        other = ends[handle == ends[0]]
        for _ in range(64):
            try:
                packet = os.read(handle, 65536)
            except BlockingIOError:
                break
            free[handle] = max(free[handle], now) + len(packet) / bytes_per_s
            if len(queues[other]) < 2000:  # like a router's queue, which drops what does not fit
                queues[other].append((free[handle] + delay_s, packet))
    for handle, queue in queues.items():
        while queue and queue[0][0] <= now:
            os.write(handle, queue.popleft()[1])
"""


class Link(NamedTuple):
    """The client's end of a link."""

    namespace: str
    url: str

    def inside(self, *words: str | Path) -> list[str]:
        """Return a command that runs `words` at the client's end."""
        return inside(self.namespace, *words)

    def received_bytes(self) -> int:
        """Return the number of bytes that the client has received."""
        told = run("ip", "-n", self.namespace, "-j", "-s", "link", "show", "client")
        count: int = json.loads(told)[0]["stats64"]["rx"]["bytes"]
        return count


def inside(namespace: str, *words: str | Path) -> list[str]:
    """Return a command that runs `words` in a network namespace.

    `ip netns exec` would also create a mount namespace, whose mounts nobody else could see.
    """
    return ["nsenter", f"--net=/run/netns/{namespace}", *map(str, words)]


@contextlib.contextmanager
def slow_link(folder: Path, delay_ms: float, rate_mbit: float) -> Iterator[Link]:
    """Serve `folder` by HTTP at the far end of a link with this round-trip time and rate."""
    far, near = f"bench-far-{os.getpid()}", f"bench-near-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        handles = []
        for name, device, address in (
            (far, "server", SERVER_ADDRESS), (near, "client", CLIENT_ADDRESS)
        ):  # fmt: skip
            run("ip", "netns", "add", name)
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=False)
            handles.append(make_end(name, device, address))
            stack.callback(os.close, handles[-1])
        words = [sys.executable, "-IS", "-c", CARRY, *map(str, (*handles, delay_ms, rate_mbit))]
        carrier = stack.enter_context(subprocess.Popen(words, pass_fds=handles, text=True))
        stack.callback(carrier.send_signal, signal.SIGKILL)
        link = Link(near, f"http://{SERVER_ADDRESS}:{PORT}")
        words = [sys.executable, "-c", SERVE, str(folder), SERVER_ADDRESS, str(PORT)]
        server = stack.enter_context(subprocess.Popen(inside(far, *words), text=True))
        stack.callback(end, server)
        probe = link.inside("curl", "-sfI", "--max-time", "2", f"{link.url}/")
        wait_until(
            lambda: subprocess.run(probe, capture_output=True, check=False).returncode == 0,
            "the server to answer", 20,
        )  # fmt: skip
        yield link


def make_end(namespace: str, device: str, address: str) -> int:
    """Create a TUN interface in `namespace`; return the descriptor of its other side."""
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    temporary = f"bt{os.getpid()}{device[0]}"
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", temporary.encode(), IFF_TUN | IFF_NO_PI))
    run("ip", "link", "set", temporary, "netns", namespace, "name", device)
    run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", device)
    run("ip", "-n", namespace, "link", "set", device, "up", "txqueuelen", "1000")
    return handle
