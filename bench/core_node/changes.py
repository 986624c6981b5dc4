"""Updates of a running node for one changed file, and the peer: the whole flist, fetched anew."""

import contextlib
import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

from common.releases.flists import CORE, WORKLOAD
from flist.format.contents import block_ids
from flist.format.opening import open_flist
from image.model import Release
from qemu.machine import QemuMachine
from tests.helpers.vm.site import Site
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub

OFTEN = "update.interval=10"
UPDATE_S = 600.0
WORK, DAEMONS = "a file of the workload", "a file of zos-core"
FLISTS = {WORK: (WORKLOAD, NAME), DAEMONS: (CORE, CORE_NAME)}
PEER = "{}: peer, all of the flist"
# Prints how long the node takes to fetch one file, and its size.
FETCH = """
import json, time, urllib.request
start, size = time.monotonic(), 0
with urllib.request.urlopen("{url}") as answer:
    while data := answer.read(1 << 20):
        size += len(data)
print(json.dumps([time.monotonic() - start, size]))
"""
Cost = tuple[float, float]
"""Seconds and bytes."""


def measure_updates(
    release: Release, hub: LocalHub, folder: Path, rounds: int
) -> dict[str, list[Cost]]:
    """Update one node in turns; return what each change has taken, and its peer."""
    folder.mkdir()
    site = Site(release, hub, folder)
    costs: dict[str, list[Cost]] = {}
    held = dict(FLISTS.values())
    with site.serve(), site.boot("node", OFTEN, has_disk=False, within_s=UPDATE_S) as machine:
        for number in range(rounds):
            for name, (role, old) in FLISTS.items():
                files = {"usr/share/changed": f"{number}"}
                held[role] = site.change(old, f"{old}-{number}", files)
                costs.setdefault(name, []).append(update(site, machine, held))
                whole = fetch_whole(site, machine, held[role])
                costs.setdefault(PEER.format(name), []).append(whole)
    return costs


def update(site: Site, machine: QemuMachine, held: dict[str, str]) -> Cost:
    """Let the channel hold these flists; return what it takes until they run."""
    sent, since = site.sent(), machine.console.position
    version = site.hold(*held.items())
    began = machine.wait_for_console_text(f"update: fetching {version}", UPDATE_S, since)
    runs = machine.wait_for_console_text(f"update: {version} runs", UPDATE_S, since)
    machine.wait_for_console_text(f"runs {version}", UPDATE_S, since)
    return runs.at_s - began.at_s, site.sent() - sent


def fetch_whole(site: Site, machine: QemuMachine, name: str) -> Cost:
    """Return what it takes to send a flist with all its blocks to the node, as one file."""
    root, whole = site.root.root, site.folder / "whole"
    meta = root / "flists" / f"{name}.fl"
    with open(whole, "wb") as file, contextlib.closing(open_flist(meta)) as flist:
        file.write(meta.read_bytes())
        names = sorted(one.hex() for one in block_ids(flist))
        file.writelines((root / "blocks" / one[:2] / one).read_bytes() for one in names)
    with serve_folder(site.folder) as port:
        source = FETCH.format(url=f"http://10.0.2.2:{port}/{whole.name}")
        took_s, size = json.loads(machine.guest.python(source, timeout_s=UPDATE_S))
    return took_s, size


@contextlib.contextmanager
def serve_folder(folder: Path) -> Iterator[int]:
    """Serve a folder on the loopback; yield the port."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()
