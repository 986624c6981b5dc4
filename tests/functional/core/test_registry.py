"""The report daemon and the real registry, over HTTP."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from common.ipc.client import call
from core.capacity import daemon as capacity
from core.places import socket_of
from core.report import daemon as report
from registry.app import create_app
from registry.settings import RegistrySettings
from registry.state.key import RegistryKey
from registry.state.opening import open_in_memory
from registry.views.registry import make_registry
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.functional.core.test_reports import DOOR, IDENTITY, KEY, NODE
from tests.helpers.core.daemons import daemon, run_on_stage, served, set_command_line
from tests.helpers.registry.site import Farmer, Site
from tests.helpers.waiting import wait_until


def make_real_site() -> Site:
    """Return a registry whose clock is this machine's."""
    settings = RegistrySettings(state=Path("/nonexistent"))
    registry = make_registry(settings, open_in_memory, RegistryKey(KEY), time.time)
    return Site(registry, create_app(registry), time.time(), Farmer(1))


def status() -> dict[str, Any]:
    """Return what the daemon says."""
    answer: dict[str, Any] = call(socket_of("report"), "status")
    return answer


def test_the_registry_takes_what_a_node_reports() -> None:
    run_on_stage(report_twice)


def report_twice() -> None:
    site = make_real_site()
    farm = site.add_farm()
    listener = open_listener("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        serve_in_thread(site.app, listener),
        served("identity", IDENTITY),
        served("door", DOOR),
        daemon(capacity.PROFILE, capacity.main),
    ):
        set_command_line(f"registry={url} farmer_id={farm}\n")
        for start in range(2):
            with daemon(report.PROFILE, report.main) as process:
                wait_until(lambda: status()["registered"], "the node is registered", 60)
                node = site.get(f"/api/v1/nodes/{NODE}")
                assert (node["kind"], node["sequence"]) == ("register", 2 * start + 1)
                assert node["doubt"] == "" and node["capacity"]["cru"] == os.cpu_count()
                assert status()["problems"] == []
                os.kill(process, signal.SIGTERM)
            node = site.get(f"/api/v1/nodes/{NODE}")
            assert (node["kind"], node["sequence"]) == ("shutdown", 2 * start + 2)


def test_a_farm_that_is_not_registered_is_told() -> None:
    run_on_stage(report_for_nobody)


def report_for_nobody() -> None:
    site = make_real_site()
    listener = open_listener("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with (
        serve_in_thread(site.app, listener),
        served("identity", IDENTITY),
        served("door", DOOR),
        daemon(capacity.PROFILE, capacity.main),
    ):
        set_command_line(f"registry={url} farmer_id=9\n")
        with daemon(report.PROFILE, report.main):
            wait_until(lambda: status()["problems"], "the daemon says why", 60)
            (problem,) = status()["problems"]
            assert "there is no farm 9" in problem["text"]
            assert "its owner registers it" in problem["text"]
