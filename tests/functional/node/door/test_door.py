"""The node's door over its real socket, above a real zinit: who may call what, and what happens."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.ipc.client import call, stream
from common.ipc.errors import IpcError
from core import places
from node.door import callers, services
from node.door.door import Door
from node.model import NodeError
from tests.helpers.needs import need_root
from tests.helpers.other_user import run_as
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon

NOBODY = 65534


class Shown:
    """A node whose only flist has the service `redis`."""

    def rows(self) -> dict[str, object]:
        return {"stage": "ready"}

    def role_of(self, service: str) -> str:
        return "workload" if service == "redis" else "node"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ZinitDaemon]:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("network", "exec: sleep 1000")
        zinit.write("redis", "exec: sh -c 'echo up; exec sleep 1000'")
        zinit.start()
        wait_until(lambda: "redis: up" in "".join(zinit.client.log()), "redis is up")
        yield zinit


@pytest.fixture
def door(node: ZinitDaemon) -> Iterator[Path]:
    path = node.folder / "door" / "socket"
    with Door(node.client, Shown(), path):
        yield path


def test_the_users_are_those_of_core() -> None:
    assert (places.UPDATE.number, places.API.number) == (callers.UPDATE, callers.API)


def test_services_are_listed_and_restarted(node: ZinitDaemon, door: Path) -> None:
    rows = {row["name"]: row for row in call(door, "services.list")}
    assert (rows["redis"]["state"], rows["redis"]["role"]) == ("Running", "workload")
    assert rows["network"]["role"] == "node"
    assert 0 <= rows["redis"]["uptime_s"] < 600
    before = node.service_pid("redis")
    assert call(door, "services.restart", name="redis") == {}
    wait_until(lambda: node.service_pid("redis") not in (0, before), "it runs again")


def test_the_nodes_own_services_are_not_restarted(node: ZinitDaemon, door: Path) -> None:
    before = node.service_pid("network")
    with pytest.raises(IpcError, match="everything else on the node depends on it") as caught:
        call(door, "services.restart", name="network")
    assert caught.value.code == "refused"
    with pytest.raises(IpcError, match="there is no service 'nosuch'"):
        call(door, "services.restart", name="nosuch")
    assert node.service_pid("network") == before


def test_the_log_of_a_service_is_followed(node: ZinitDaemon, door: Path) -> None:
    lines = list(stream(door, "services.logs", name="redis"))
    assert lines[-1] == {"time": None, "name": "redis", "text": "up"}
    assert {line["name"] for line in lines} == {"redis"}
    assert list(stream(door, "services.logs", lines=0)) == []
    news = stream(door, "services.logs", name="redis", lines=0, follow=True)
    call(door, "services.restart", name="redis")
    line = next(item for item in news if item["text"] == "up")
    assert line["name"] == "redis"
    assert line["time"] > 0


def test_a_silent_log_says_so(
    node: ZinitDaemon, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "QUIET_S", 0.0)
    news = stream(door, "services.logs", name="redis", lines=0, follow=True)
    assert next(news)["name"] == ""


@pytest.mark.parametrize("params", [{"lines": -1}, {"lines": "x"}, {"name": 1}, {"nosuch": 1}])
def test_wrong_parameters_are_refused(door: Path, params: dict[str, Any]) -> None:
    with pytest.raises(IpcError) as caught:
        list(stream(door, "services.logs", **params))
    assert caught.value.code == "params"


def test_who_may_call_what(door: Path) -> None:
    need_root()
    for folder in (door, *door.parents):
        if folder.owner() == "root" and str(folder).startswith("/tmp/"):
            os.chmod(folder, folder.stat().st_mode | 0o055)  # noqa: PTH101

    def refused(*methods: str) -> None:
        for method in methods:
            with pytest.raises(IpcError, match="may not call"):
                call(door, method)

    def as_nobody() -> None:
        assert call(door, "status") == {"stage": "ready"}
        assert call(door, "services.list")
        refused("services.logs", "services.restart", "power.reboot", "power.off")

    def as_update() -> None:
        refused("services.logs", "services.restart")

    run_as(NOBODY, as_nobody)
    run_as(callers.UPDATE, as_update)
    run_as(callers.API, lambda: call(door, "services.restart", name="redis"))


def test_a_reboot_is_remembered_or_refused(node: ZinitDaemon, tmp_path: Path) -> None:
    asked: list[dict[str, bool]] = []

    class Reboots:
        def before(self, **how: bool) -> None:
            asked.append(how)
            raise NodeError("cannot reboot: the last one did not help")

    updates: Any = SimpleNamespace(look=None, apply=None, rollback=None)
    path = tmp_path / "other" / "socket"
    door = Door(node.client, Shown(), path)
    door.add_updates(updates, Reboots())
    with door:
        for how in ({}, {"once": True}, {"kexec": True}):
            with pytest.raises(IpcError, match="did not help"):
                call(path, "power.reboot", **how)
    said = [(how["once"], how["kexec"]) for how in asked]
    assert said == [(False, False), (True, False), (False, True)]
    assert node.service_pid("redis")


def test_another_kernel_is_not_started(door: Path) -> None:
    with pytest.raises(IpcError, match="cannot start another kernel"):
        call(door, "power.reboot", kexec=True)
