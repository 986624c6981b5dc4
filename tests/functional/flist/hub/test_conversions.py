"""Conversions on the hub: a real registry, a confined worker, events, webhooks, a schedule."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from flist.hub.app import create_hub_app
from flist.hub.jobs import jobs as job_table
from flist.hub.jobs.follows import Follows
from flist.hub.jobs.model import ACCEPTED, RUNNING, BusyError
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.store.folder import FolderStore
from serving.listen import open_listener, own_url
from serving.run import serve_in_thread
from tests.helpers.flist.hub import LocalHub, add_users
from tests.helpers.flist.registry import (
    PASSWORD,
    USER,
    build_image,
    make_layer,
    member,
    push,
    running_registry,
)
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
TEXT = b"hello from the image\n"
WITHIN_S = 60.0


class Running(LocalHub):
    """A hub that is served, with its URL."""

    url: str

    def ask(self, method: str, path: str, body: object = None, user: str = "alice") -> Any:
        """Send a request; return the JSON of the answer, with its status as `_status`."""
        headers = {"authorization": f"Bearer {self.tokens[user]}"} if user else {}
        answer = urllib3.request(
            method, self.url + path, json=body, headers=headers, retries=False, timeout=60
        )
        said = json.loads(answer.data) if answer.data else {}
        return {**said, "_status": answer.status}

    def events(self, number: str) -> list[dict[str, Any]]:
        """Return all events of a job, until the server ends the stream."""
        headers = {"authorization": f"Bearer {self.tokens['alice']}"}
        answer = urllib3.request(
            "GET", f"{self.url}/api/v1/jobs/{number}/events", headers=headers, timeout=WITHIN_S
        )
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.data.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]

    def end_of(self, number: str) -> dict[str, Any]:
        """Return a job when it has ended."""

        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = self.ask("GET", f"/api/v1/jobs/{number}")
            return job if job["is_final"] else None

        found = wait_until(ended, "the job's end", WITHIN_S)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a registry with a public image."""
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        push(host, "team/app", "1", make_image(TEXT))
        yield host


def make_image(text: bytes) -> Any:
    """Return an image with one file."""
    return build_image([make_layer(member("hello", text))])


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, registry: str) -> Iterator[Running]:
    """Serve a hub that may ask the registry."""
    root = tmp_path_factory.mktemp("hub")
    found = open_hub(HubSettings(root=root, insecure_registries=[registry]))
    app = create_hub_app(found)
    listener = open_listener("127.0.0.1", 0)
    running = Running(app, found, root, add_users(found))
    object.__setattr__(running, "url", own_url(listener))
    with serve_in_thread(app, listener):
        yield running


def test_an_image_becomes_a_flist_in_a_repository(hub: Running, registry: str) -> None:
    started = hub.ask("POST", "/api/v1/convert", {"image": f"{registry}/team/app:1"})
    assert started["_status"] == 201
    events = hub.events(started["id"])
    job = hub.end_of(started["id"])
    assert job["state"] == "done", job["message"]
    assert events[-1]["status"] == "info" and events[-1]["result"] == job["result"]
    assert [event["status"] for event in events[:-1]].count("update") == len(events) - 1
    result = job["result"]
    assert result["repository"] == "alice" and result["entries"] == 3  # root, hello, startup
    with hub.hub.flists.open_version(hub.viewer("alice"), result["digest"]) as flist:
        names = {inode.name for inode in flist.children(1)}
    assert names == {b"hello", b".startup.toml"}
    assert len(list(FolderStore(hub.root / "blocks").root.glob("*/*"))) >= result["blocks"]
    assert not list(hub.hub.contents.arriving.iterdir())


def test_upstreams_addresses_convert(hub: Running, registry: str) -> None:
    started = hub.ask("POST", "/api/v1/fl", {"image_name": f"{registry}/team/app:1"})
    assert started["_status"] == 201
    hub.end_of(started["id"])
    state = hub.ask("GET", f"/api/v1/fl/{started['id']}")["flist_state"]
    assert list(state) == ["Created"]
    assert hub.ask("GET", "/api/v1/fl/nothing")["_status"] == 404
    assert hub.ask("POST", "/api/v1/fl", {"image_name": 5})["_status"] == 422
    listed = hub.ask("GET", "/api/v1/fl", user="")
    assert listed["alice"]


def test_zero_hubs_clients_wait_for_the_flist(hub: Running, registry: str) -> None:
    headers = {"authorization": f"bearer {hub.tokens['alice']}"}
    for image, status in ((f"{registry}/team/app:1", 200), (f"{registry}/team/nothing:1", 422)):
        answer = urllib3.request(
            "POST", f"{hub.url}/api/flist/me/docker", fields={"image": image}, headers=headers,
            retries=False, timeout=WITHIN_S,
        )  # fmt: skip
        assert answer.status == status, answer.data
    name = f"{registry}/team/app:1".replace(":", "-").replace("/", "-") + ".fl"
    listed = hub.ask("GET", f"/api/flist/alice/{name}", user="")
    assert {row["path"] for row in listed["content"]} == {"/hello", "/.startup.toml"}


def test_a_job_is_its_owners_alone(hub: Running, registry: str) -> None:
    number = hub.ask("POST", "/api/v1/convert", {"image": f"{registry}/team/app:1"})["id"]
    hub.end_of(number)
    assert hub.ask("GET", f"/api/v1/jobs/{number}", user="bob")["_status"] == 404
    assert hub.ask("GET", f"/api/v1/jobs/{number}", user="")["_status"] == 401
    assert hub.ask("GET", f"/api/v1/jobs/{number}", user="operator")["_status"] == 200
    assert number not in {job["id"] for job in hub.ask("GET", "/api/v1/jobs", user="bob")["jobs"]}


def test_nobody_converts_into_a_repository_of_others(hub: Running, registry: str) -> None:
    image = f"{registry}/team/app:1"
    hub.end_of(hub.ask("POST", "/api/v1/convert", {"image": image})["id"])
    wanted = {"image": image, "repository": "alice", "name": "app.fl"}
    assert hub.ask("POST", "/api/v1/convert", wanted, user="bob")["_status"] == 403
    assert hub.ask("POST", "/api/v1/convert", wanted, user="")["_status"] == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image": ""},
        {"image": "UPPER/case"},
        {"image": "a b"},
        {"image": "app", "name": "../x.fl"},
        {"image": "app", "name": "x.flist"},
        {"image": "app", "repository": "../x"},
        {"image": "app", "platform": "linux/"},
        {"image": "app", "password": "alone"},
        {"image": "app", "unknown": 1},
    ],
)
def test_a_wrong_question_is_refused(hub: Running, body: dict[str, object]) -> None:
    assert hub.ask("POST", "/api/v1/convert", body)["_status"] == 422


def test_what_goes_wrong_is_told(hub: Running, registry: str) -> None:
    absent = hub.ask("POST", "/api/v1/convert", {"image": f"{registry}/team/none:1"})
    job = hub.end_of(absent["id"])
    assert job["state"] == "failed" and "team/none" in job["message"]
    assert hub.events(absent["id"])[-1]["status"] == "error"


def test_hosts_behind_the_firewall_are_not_asked(hub: Running, registry: str) -> None:
    """The registry of the tests is allowed by its port; another port of the machine is not."""
    with open_listener("127.0.0.1", 0) as inner:
        port = inner.getsockname()[1]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
            started = hub.ask("POST", "/api/v1/convert", {"image": f"{host}/team/app:1"})
            job = hub.end_of(started["id"])
            assert job["state"] == "failed"
        inner.settimeout(0.1)
        with pytest.raises(TimeoutError):
            inner.accept()  # nobody has connected
    assert registry != f"127.0.0.1:{port}"


def test_credentials_reach_the_registry_and_are_not_kept(tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry", is_private=True) as host:
        push(host, "team/app", "1", make_image(TEXT))
        root = tmp_path / "hub"
        root.mkdir()
        found = open_hub(HubSettings(root=root, insecure_registries=[host]))
        app = create_hub_app(found)
        listener = open_listener("127.0.0.1", 0)
        hub = Running(app, found, root, add_users(found))
        object.__setattr__(hub, "url", own_url(listener))
        with serve_in_thread(app, listener):
            image = {"image": f"{host}/team/app:1"}
            refused = hub.end_of(hub.ask("POST", "/api/v1/convert", image)["id"])
            assert refused["state"] == "failed"
            login = {**image, "username": USER, "password": PASSWORD}
            job = hub.end_of(hub.ask("POST", "/api/v1/convert", login)["id"])
            assert job["state"] == "done", job["message"]
            assert PASSWORD not in json.dumps(job)
        for path in root.rglob("*"):
            if path.is_file():
                assert PASSWORD.encode() not in path.read_bytes()


def test_an_image_that_is_too_large_is_refused(tmp_path: Path, registry: str) -> None:
    push(registry, "team/large", "1", make_image(bytes(3 << 20)))
    root = tmp_path / "hub"
    root.mkdir()
    settings = HubSettings(root=root, insecure_registries=[registry], job_size_bytes=1 << 20)
    found = open_hub(settings)
    app = create_hub_app(found)
    listener = open_listener("127.0.0.1", 0)
    hub = Running(app, found, root, add_users(found))
    object.__setattr__(hub, "url", own_url(listener))
    with serve_in_thread(app, listener):
        number = hub.ask("POST", "/api/v1/convert", {"image": f"{registry}/team/large:1"})["id"]
        assert hub.end_of(number)["state"] == "failed"
        assert hub.hub.flists.names(hub.viewer("alice")) == []


def test_a_running_job_can_be_cancelled(hub: Running) -> None:
    """Its worker waits for a registry that accepts and never answers."""
    with open_listener("127.0.0.1", 0) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        allowed = hub.hub.settings.insecure_registries
        allowed.append(host)
        try:
            number = hub.ask("POST", "/api/v1/convert", {"image": f"{host}/team/app:1"})["id"]
            silent.settimeout(WITHIN_S)
            silent.accept()[0].close()
            assert hub.ask("DELETE", f"/api/v1/jobs/{number}")["_status"] == 202
            job = hub.end_of(number)
        finally:
            allowed.remove(host)
    assert job["state"] == "failed" and "cancelled" in job["message"]


def test_a_webhook_converts_what_has_changed(hub: Running, registry: str) -> None:
    image = f"{registry}/team/followed:latest"
    push(registry, "team/followed", "latest", make_image(b"first"))
    place = "/api/v1/follows/alice/followed.fl"
    made = hub.ask("PUT", place, {"image": image, "has_hook": True})
    assert made["_status"] == 200, made
    hook, secret = made["hook"], made["secret"]
    listed = hub.ask("GET", "/api/v1/follows/alice")["follows"]
    assert [follow["name"] for follow in listed] == ["followed.fl"]
    assert secret not in json.dumps(listed)

    def call() -> dict[str, Any]:
        answer = hub.ask("POST", f"{hook}?secret={secret}", {"any": "thing"}, user="")
        assert answer["_status"] == 202
        return hub.end_of(answer["id"])

    assert call()["result"]["is_changed"]
    assert not call()["result"]["is_changed"]
    push(registry, "team/followed", "latest", make_image(b"second"))
    assert call()["result"]["is_changed"]
    versions = hub.hub.flists.history(hub.viewer("alice"), "alice", "followed.fl")
    assert len(versions) == 2
    assert hub.ask("POST", f"{hook}?secret=wrong", {}, user="")["_status"] == 404
    assert hub.ask("POST", hook, {}, user="")["_status"] == 404
    assert hub.ask("DELETE", place, user="bob")["_status"] == 403
    assert hub.ask("DELETE", place)["_status"] == 204
    assert hub.ask("POST", f"{hook}?secret={secret}", {}, user="")["_status"] == 404


def test_a_schedule_asks_when_its_time_has_come(hub: Running, registry: str) -> None:
    push(registry, "team/timed", "1", make_image(b"timed"))
    place = "/api/v1/follows/alice/timed.fl"
    wanted = {"image": f"{registry}/team/timed:1", "interval_s": 60}
    assert hub.ask("PUT", place, wanted)["_status"] == 200
    clock = [time.time()]
    follows = Follows(hub.hub, clock=lambda: clock[0])

    def converted() -> bool:
        found = follows.find(hub.viewer("alice"), "alice", "timed.fl")
        return found.seen != "" and found.message == "converted"

    follows.run_due()  # unless the server's own chore has done it
    wait_until(converted, "the first conversion", WITHIN_S)
    seen = follows.find(hub.viewer("alice"), "alice", "timed.fl").checked_s
    clock[0] = seen + 59
    assert follows.run_due() == 0
    clock[0] = seen + 61
    gate = threading.Barrier(4)
    counts: list[int] = []

    def race() -> None:  # as several servers do
        gate.wait()
        counts.append(Follows(hub.hub, clock=lambda: clock[0]).run_due())

    threads = [threading.Thread(target=race) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 1
    hub.ask("DELETE", place)


def test_a_job_of_a_server_that_is_gone_has_failed(hub: Running) -> None:
    lost = job_table.Jobs(hub.hub, {"convert": lambda _: {}}, 1)  # never started
    number = lost.submit(hub.viewer("alice"), "convert", {"image": "x"})
    hub.hub.jobs.beat(time.time())
    assert not hub.ask("GET", f"/api/v1/jobs/{number}")["is_final"]
    hub.hub.jobs.beat(time.time() + job_table.LOST_S + 1)
    job = hub.ask("GET", f"/api/v1/jobs/{number}")
    assert job["state"] == "failed" and "has ended" in job["message"]


def test_too_many_jobs_are_refused(hub: Running) -> None:
    waiting = job_table.Jobs(hub.hub, {}, 1)  # never started
    viewer = hub.viewer("alice")
    for _ in range(job_table.QUEUE_MAX_OF_ACCOUNT):
        waiting.submit(viewer, "convert", {})
    with pytest.raises(BusyError):
        waiting.submit(viewer, "convert", {})
    waiting.submit(hub.viewer("bob"), "convert", {})  # others are not held up
    waiting.close()
    left = [job for job in hub.hub.jobs.list_all(viewer) if job.state == ACCEPTED]
    assert left == []


def test_a_server_without_workers_says_so(hub: Running) -> None:
    none = job_table.Jobs(hub.hub, {}, 0)
    with pytest.raises(BusyError, match="converts nothing"):
        none.submit(hub.viewer("alice"), "convert", {})


def test_what_waits_is_found_by_what_it_is_for(hub: Running) -> None:
    """So a webhook that is called a thousand times is one job."""
    waiting = job_table.Jobs(hub.hub, {}, 1)  # never started
    number = waiting.submit(hub.viewer("alice"), "follow", {"follow": 1})
    assert waiting.find_waiting("follow", {"follow": 1}) == number
    assert waiting.find_waiting("follow", {"follow": 2}) is None
    waiting.close()
    assert waiting.find_waiting("follow", {"follow": 1}) is None


def test_a_job_that_has_ended_changes_no_more(hub: Running) -> None:
    waiting = job_table.Jobs(hub.hub, {}, 1)  # never started
    number = waiting.submit(hub.viewer("alice"), "convert", {})
    waiting.close()
    count = len(hub.hub.jobs.events(hub.viewer("alice"), number))
    waiting.tell(number, RUNNING, 50, "late")
    assert hub.ask("GET", f"/api/v1/jobs/{number}")["state"] == "failed"
    assert len(hub.hub.jobs.events(hub.viewer("alice"), number)) == count
