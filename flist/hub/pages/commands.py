"""How a flist is mounted, as texts to copy."""

import json
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from common.runmodes import RUN_MODES

CACHE = "/var/cache/flist"
KEY = "/etc/zero-os/hub.pub"
NODES = "tf-zos"
"""The repository of what nodes boot: a flist for each network, by its run mode."""
UNIT = """[Unit]
Description=flist {name}
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStartPre=/usr/bin/env mkdir -p {target}
ExecStart=/usr/bin/env {command}

[Install]
WantedBy=multi-user.target
"""


class Way(NamedTuple):
    """One way to use a flist: its heading, what to know, and the text to copy."""

    title: str
    said: str
    text: str


class Place(NamedTuple):
    """Where a flist is: the hub's address, the flist's repository and name, and what its signature
    is checked with, if it has one: the signed name and the public key in hex."""

    hub: str
    repository: str
    name: str
    signed_name: str = ""
    key: str = ""

    @property
    def url(self) -> str:
        """Return the flist's address."""
        return f"{self.hub}/{self.repository}/{self.name}"

    @property
    def stem(self) -> str:
        """Return the name without its suffix."""
        return self.name.rpartition(".")[0]

    @property
    def target(self) -> str:
        """Return where a service mounts the flist."""
        return f"/srv/{self.stem}"

    @property
    def store(self) -> str:
        """Return the address of the blocks."""
        return f"{self.hub}/blocks"

    def mount(self, target: str) -> str:
        """Return the command that mounts the flist."""
        demand = ["--key", KEY, "--name", self.signed_name] if self.key else []
        words = ["zos", "flist", "mount", "-m", self.url, "--store", self.store, "-c", CACHE]
        return shlex.join([*words, *demand, target])


def list_ways(place: Place) -> Sequence[Way]:
    """Return the ways to use a flist."""
    return [
        *keep_key(place),
        Way(
            "Mount it",
            "The flist is fetched once, and a block when something reads it. "
            "With -d, the command goes to the background.",
            place.mount("/mnt"),
        ),
        Way(
            "Mount it at every start",
            f"A unit of systemd: /etc/systemd/system/{place.stem}.service",
            UNIT.format(
                name=f"{place.repository}/{place.name}",
                target=place.target,
                command=place.mount(place.target),
            ),
        ),
        Way(
            "Mount it on a node",
            f"A service of zinit: /etc/zinit/{place.stem}.yaml",
            service_of(place),
        ),
        with_rfs(place),
        *boot_node(place),
    ]


def service_of(place: Place) -> str:
    """Return a service file of zinit."""
    steps = f"mkdir -p {place.target} && exec {place.mount(place.target)}"
    return f"exec: {json.dumps(shlex.join(['sh', '-c', steps]))}\nready: notify\n"


def keep_key(place: Place) -> Sequence[Way]:
    """Return how to keep the key that has signed the flist."""
    if not place.key:
        return []
    said = "Compare the key with what its owner says elsewhere: this hub could show another one."
    return [Way("Keep the key", said, shlex.join(["echo", place.key]) + f" > {KEY}")]


def with_rfs(place: Place) -> Way:
    """Return how upstream's client mounts the flist, or what unpacks it."""
    fetch = shlex.join(["curl", "--fail", "--remote-name", place.url])
    mount = shlex.join(["rfs", "mount", "-m", place.name, "-c", CACHE, "/mnt"])
    said = "It takes the flist as a file, and the blocks from the stores that the flist names."
    return Way("Mount it with rfs", said, f"{fetch}\n{mount}")


def boot_node(place: Place) -> Sequence[Way]:
    """Return what makes a node boot the flist, if it is one that nodes boot."""
    modes = [name for name, mode in RUN_MODES.items() if mode.network == place.stem]
    if place.repository != NODES or not modes:
        return []
    text = f"runmode={modes[0]} hub={place.hub}"
    return [Way("Boot a node with it", "On the kernel's command line.", text)]
