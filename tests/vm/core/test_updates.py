"""Updates of a running node: a workload that serves meanwhile, bad releases, and power cuts."""

import contextlib
import os
import random
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.releases.flists import CORE, WORKLOAD
from image.model import Release
from qemu.machine import QemuMachine
from tests.helpers.releases.store import DAY_S
from tests.helpers.vm.site import Site, ask_status, describe
from tests.helpers.waiting import wait_until
from zero_os.boot.core import CORE_NAME
from zero_os.boot.hub import NAME, LocalHub
from zero_os.boot.node import REDIS_PORT

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(2400)]

OFTEN = "update.interval=10"
UPDATE_S = 400
CRASHING = {"etc/zinit/crashing.yaml": "exec: /usr/bin/redis-server --no-such-option\n"}
CUTS = int(os.environ.get("ZOS_POWER_CUTS", "2"))
CUT_WITHIN_S = 100.0  # fetching, moving the services, watching


class Client:
    """A client of the node's Redis that keeps one connection."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.replies = self.connection.makefile("rb")

    def ask(self, text: str) -> str:
        """Send an inline command; return the first line of the answer."""
        self.connection.sendall(f"{text}\r\n".encode())
        return self.replies.readline(1024).decode().strip()


@contextlib.contextmanager
def connect(machine: QemuMachine) -> Iterator[Client]:
    """Open a connection to the node's Redis that has set something."""
    client = Client(machine.forwarded_port(REDIS_PORT))
    with client.connection:
        assert client.ask("SET mine 7") == "+OK"
        yield client


def pid_of(machine: QemuMachine, name: str) -> str:
    """Return the process of a service."""
    lines = machine.guest.succeed(["zinit", "status", name]).splitlines()
    return next(line for line in lines if line.startswith("pid"))


def test_a_node_follows_its_channel_under_a_running_redis(
    release: Release, core_hub: LocalHub, tmp_path: Path
) -> None:
    site = Site(release, core_hub, tmp_path)
    core, workload = (CORE, CORE_NAME), (WORKLOAD, NAME)
    with (
        site.serve(),
        site.boot("node", OFTEN, has_disk=False, within_s=UPDATE_S) as machine,
        connect(machine) as client,
    ):
        pid = pid_of(machine, "redis")

        def check(generation: int, running: str) -> None:
            """Hold that the workload has noticed nothing, and that the node knows what it runs."""
            assert client.ask("INCR mine") == f":{7 + next(count)}"
            assert pid_of(machine, "redis") == pid
            status = ask_status(machine)
            assert (status["generation"], status["release"]) == (generation, running)

        count = iter(range(1, 100))
        # A good release: another core, and a file of the workload that Redis does not use.
        new_core = (CORE, site.change(CORE_NAME, "tf-zos/core2", {"usr/share/new": "2"}))
        new_work = (WORKLOAD, site.change(NAME, "tf-zos/work2", {"usr/share/new": "2"}))
        sent = site.sent()
        second = site.hold(new_core, new_work)
        began = machine.wait_for_console_text(f"update: fetching {second}", UPDATE_S)
        moved = machine.wait_for_console_text(f"update: {second} runs; it is watched", UPDATE_S)
        machine.wait_for_console_text(f"update: generation 2 runs {second}", UPDATE_S)
        print(f"update: {moved.at_s - began.at_s:.1f} s, {site.sent() - sent} bytes from the hub")
        check(2, second)
        assert ask_status(machine)["problems"] == []

        # A service that crashes.
        bad_work = (WORKLOAD, site.change(NAME, "tf-zos/work3", CRASHING))
        third = site.hold(new_core, bad_work)
        machine.wait_for_console_text(f"update: giving {third} up", UPDATE_S)
        machine.wait_for_console_text(f"update: rolled back to {second}", UPDATE_S)
        check(2, second)
        (problem,) = ask_status(machine)["problems"]
        assert f"rolled back from {third}: " in problem["text"]

        # A flist that no hub has with the digest that is signed.
        row = describe(core_hub, *workload).to_json()
        wrong = site.publish([{**row, "sha256": "ab" * 32}, describe(core_hub, *core).to_json()])
        machine.wait_for_console_text(f"update: cannot take {wrong}: ", UPDATE_S)
        check(2, second)

        # A channel that has expired.
        now = site.maintainer.now
        site.maintainer.now = now - 60 * DAY_S
        site.maintainer.renew(is_forced=True)
        machine.wait_for_console_text(re.compile("core-update: .*expired"), UPDATE_S)
        check(2, second)
        site.maintainer.now = now
        site.maintainer.renew(is_forced=True)

        # The maintainers go back to the first release, and all farms with them.
        site.maintainer.rollback("dev", site.set)
        machine.wait_for_console_text(f"update: generation 3 runs {site.set}", UPDATE_S)
        check(3, site.set)


def test_a_power_cut_at_any_moment_leaves_one_whole_version(
    release: Release, core_hub: LocalHub, tmp_path: Path
) -> None:
    """The machine is killed `ZOS_POWER_CUTS` times while it updates, with a cache on its disk."""
    site = Site(release, core_hub, tmp_path)
    moments = random.Random(CUTS)
    held = site.set
    with site.serve():
        for number in range(CUTS):
            with site.boot(f"cut{number}", OFTEN) as machine:
                assert {row["version"] for row in ask_status(machine)["set"]} == {held}
                files = {"usr/share/new": f"{number}"}
                names = (f"tf-zos/core-{number}", f"tf-zos/work-{number}")
                held = site.hold(
                    (CORE, site.change(CORE_NAME, names[0], files)),
                    (WORKLOAD, site.change(NAME, names[1], files)),
                )
                machine.wait_for_console_text(f"update: fetching {held}", UPDATE_S)
                moment_s = moments.uniform(0, CUT_WITHIN_S)
                with contextlib.suppress(AssertionError):
                    wait_until(lambda: not machine.is_running, "it is cut", moment_s)
                machine.process.kill()
        with site.boot("last") as machine:
            assert {row["version"] for row in ask_status(machine)["set"]} == {held}
            assert ask_status(machine)["problems"] == []
