"""The node's API over TLS: who may do what, hostile HTTP, streams, the audit log."""

import datetime
import io
import json
import socket
import ssl
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.announce.record import Record
from core.api.audit import check_chain
from core.api.openapi import place_of
from core.api.places import FROM_ONE
from core.api.routes import ROUTES, TOP, Route
from core.certificates.names import Role
from core.remote import client as remote_client
from core.remote import commands, find
from core.remote.client import NodeClient, Target, learn_node
from core.remote.discover import Found
from core.remote.errors import RemoteError
from core.remote.known import Known, join_address
from tests.helpers.core.api import FARM, SECRET, SERVICES, Api, Farm, read_all, running_api
from tests.helpers.waiting import wait_until

DAY = datetime.timedelta(days=1)
EXAMPLES = {"name": "redis", "release": "0.2.0", "kexec": False, "follow": False, "lines": 3}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running_api(tmp_path_factory.mktemp("node")) as api:
        yield api


def request_of(route: Route) -> bytes:
    path, query, body = f"{TOP}{route.path}", [], {}
    for one in route.parameters:
        value, place = EXAMPLES[one.name], place_of(one, route)
        if place == "path":
            path = path.replace(f"{{{one.name}}}", str(value))
        elif place == "query":
            query.append(f"{one.name}={str(value).lower()}")
        else:
            body[one.name] = value
    target = path + ("?" + "&".join(query) if query else "")
    return show_request(route.method, target, json.dumps(body).encode() if body else b"")


def show_request(method: str, target: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: node", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_role_may_call_what_the_table_says(api: Api, route: Route, role: Role) -> None:
    before = len(api.node.asked)
    status = api.status_of(request_of(route), api.farm.certificate(role))
    assert status == (200 if role >= route.role else 403)
    changes = route.method == "POST" and role >= route.role
    assert len(api.node.asked) == before + changes


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_nobody_gets_no_further_than_the_handshake(api: Api, route: Route) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before = len(api.node.asked)
    with socket.create_connection((api.target.host, api.target.port), 60) as plain:
        with context.wrap_socket(plain) as tls, pytest.raises((ssl.SSLError, ConnectionError)):
            tls.sendall(request_of(route))
            assert tls.recv(1) == b"", "an answer came"
            raise ConnectionError
    assert len(api.node.asked) == before


def test_tls_1_2_is_refused(api: Api) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection((api.target.host, api.target.port), 60) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain)


def test_certificates_that_do_not_hold_are_refused_with_the_reason(
    api: Api, tmp_path: Path
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    cases: dict[str, dict[str, Any]] = {
        "was valid until": {"now": now - 3 * DAY},
        "is valid from": {"now": now + 2 * DAY},
        f"is for farm 9, and this node is of farm {FARM}": {"farm": 9},
    }
    for text, how in cases.items():
        with pytest.raises(RemoteError, match=text):
            api.client(Role.READER, **how).get("/status")
    with pytest.raises(RemoteError, match="the node's clock says"):
        api.client(Role.READER, now=now - 3 * DAY).get("/status")
    stranger = Farm(tmp_path).certificate(Role.FARMER)
    with pytest.raises(RemoteError, match="ended the connection"):
        NodeClient(api.target, stranger).get("/status")


def test_a_node_with_another_key_is_not_believed(api: Api) -> None:
    target = api.target
    assert learn_node(target.host, target.port) == target.node
    other = Target("1" * 31 + "2", target.host, target.port)
    with pytest.raises(RemoteError, match="is not the node"):
        NodeClient(other, api.farm.certificate(Role.FARMER)).get("/status")


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where connections are taken, and nobody says anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield join_address(*server.getsockname())


def announce(monkeypatch: pytest.MonkeyPatch, target: Target, *addresses: str) -> None:
    """Let the local network say that a node is at these addresses."""
    found = Found(Record(target.node, FARM, "0.1.0", target.port), addresses)
    monkeypatch.setattr(find, "discover", lambda node: [found])


def test_a_node_is_called_where_it_proves_that_it_is_the_one(
    api: Api, silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known = Known(tmp_path / "nodes.json")
    known.remember(silent, api.target.node)
    # One address is of a network that this machine does not reach, one is nobody's name.
    announce(monkeypatch, api.target, "192.0.2.1", "nowhere.invalid", "127.0.0.1")
    found = find.find_node(api.target.node, known, trust_first=False)
    assert found == api.target
    assert NodeClient(found, api.farm.certificate(Role.READER)).get("/services") == SERVICES


def test_an_announcement_by_another_does_not_hide_where_the_node_was(
    api: Api, silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    known, target = Known(tmp_path / "nodes.json"), api.target
    host, port = silent.split(":")
    known.remember(target.address, target.node)
    announce(monkeypatch, Target(target.node, host, int(port)), host)
    assert find.find_node(target.node, known, trust_first=False) == target


def test_a_node_that_proves_nothing_is_told_with_all_reasons(
    api: Api, silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(find, "PROVE_S", 3.0)
    known, other = Known(tmp_path / "nodes.json"), Target("1" * 31 + "2", "", api.target.port)
    known.remember(silent, other.node)
    announce(monkeypatch, other, "127.0.0.1")
    with pytest.raises(RemoteError) as caught:
        find.find_node(other.node, known, trust_first=False)
    assert f"what answers at {api.target.address} is not the node" in caught.value.message
    assert f"{silent}: no answer within 3 s" in caught.value.message


def test_a_look_at_the_channel_may_take_longer_than_other_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_client, "ANSWER_S", 1.0)
    with running_api(tmp_path, door_s=0.5) as api:
        api.node.look_s = 2.0
        found = commands.update(api.client(), {"release": None})
        assert found["held"]["release"] == "0.2.0"


def test_answers(api: Api) -> None:
    client = api.client()
    status = client.get("/status")
    assert status["identity"]["node"] == api.target.node
    assert status["api"]["problem"] == "" and status["problems"] == []
    assert client.get("/services") == SERVICES
    assert set(client.get("/storage")) == {"disks", "cache", "capacity", "used", "free"}
    assert client.get("/capacity")["load"]
    assert client.post("/update", release="0.2.0") == {}
    assert api.node.asked[-1] == ("update.apply", {"release": "0.2.0"})
    with pytest.raises(RemoteError, match=r"409.*holds another release"):
        client.post("/update", release="other")
    assert len(list(client.lines("/services/redis/logs", lines=5))) == 5
    with pytest.raises(RemoteError, match=r"404.*no service 'missing'"):
        client.post("/services/missing/restart")
    with pytest.raises(RemoteError, match=r"404.*no service 'missing'"):
        list(client.lines("/services/missing/logs"))


def test_a_stream_ends_when_the_caller_goes(api: Api) -> None:
    api.node.closed.clear()
    lines = api.client().lines("/services/gone/logs", follow=True, lines=1)
    assert next(lines)["name"] == "gone"
    lines.close()  # type: ignore[attr-defined]
    wait_until(lambda: "gone" in api.node.closed, "the stream is closed", 60)


def test_the_support_bundle_has_everything_but_secrets(api: Api) -> None:
    data = b"".join(api.client(Role.OPERATOR).pieces("/support"))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
        }
    assert {"support/status.json", "support/services.log", "support/audit.jsonl"} <= set(files)
    assert b"line 99" in files["support/services.log"]
    assert b"secret=..." in files["support/command-line.txt"]
    assert not [name for name, text in files.items() if SECRET.encode() in text]


REBOOT = "/api/v1/reboot"
FORM = "Content-Type: application/x-www-form-urlencoded"
HOSTILE = {
    "no HTTP": (b"\x16\x03\x01\x00\x00 hello\r\n\r\n", {400}),
    "two lengths": (
        show_request("POST", REBOOT, b"", "Content-Length: 2", "Content-Length: 3") + b"{}",
        {400},
    ),
    "length and chunks": (
        show_request("POST", REBOOT, b"", "Content-Length: 2", "Transfer-Encoding: chunked")
        + b"0\r\n\r\n"
        + show_request("GET", "/api/v1/status"),
        {200, 400},  # chunks win (RFC 9112, 6.1), and what follows is never read
    ),
    "a strange coding": (
        show_request("POST", REBOOT, b"", "Transfer-Encoding: gzip, chunked"),
        {400, 501},
    ),
    "a folded header": (b"GET /api/v1/status HTTP/1.1\r\nHost : n\r\n\r\n", {400}),
    "no host": (b"GET /api/v1/status HTTP/1.1\r\n\r\n", {400}),
    "a huge header": (show_request("GET", "/api/v1/status", b"", "X: " + "a" * 40000), {431}),
    "a huge address": (show_request("GET", "/" + "a" * 40000), {431}),
    "a huge body": (
        show_request("POST", REBOOT, b"", "Content-Length: 99999999") + b" " * 70000,
        {413},
    ),
    "a second request": (
        show_request("GET", "/api/v1/services") + show_request("POST", "/api/v1/poweroff"),
        {200},
    ),
    "an unknown path": (show_request("GET", "/api/v1/../v1/status"), {404}),
    "another path": (show_request("GET", "/"), {404}),
    "a slash in a name": (show_request("POST", "/api/v1/services/a/b/restart"), {404}),
    "a name of bytes": (show_request("POST", "/api/v1/services/%ff/restart"), {400}),
    "a name with a line": (show_request("POST", "/api/v1/services/a%0ab/restart"), {404}),
    "GET for a change": (show_request("GET", "/api/v1/reboot"), {405}),
    "PUT": (show_request("PUT", "/api/v1/status"), {405}),
    "DELETE for a change": (show_request("DELETE", "/api/v1/update"), {405}),
    "HEAD": (show_request("HEAD", "/api/v1/status"), {200}),
    "HEAD of a change": (show_request("HEAD", "/api/v1/reboot"), {405}),
    "a form": (
        show_request("POST", "/api/v1/update", b"", "Content-Length: 9", FORM) + b"release=1",
        {415},
    ),
    "no JSON": (show_request("POST", "/api/v1/update", b"{"), {400}),
    "deep JSON": (show_request("POST", "/api/v1/update", b"[" * 60000), {400}),
    "a list": (show_request("POST", "/api/v1/update", b"[]"), {400}),
    "nothing": (show_request("POST", "/api/v1/update", b"{}"), {422}),
    "a number": (show_request("POST", "/api/v1/update", b'{"release": 1}'), {422}),
    "another parameter": (show_request("POST", "/api/v1/reboot", b'{"x": 1}'), {422}),
    "a change by query": (show_request("POST", "/api/v1/reboot?kexec=true"), {422}),
    "twice": (show_request("GET", "/api/v1/logs?lines=1&lines=2"), {422}),
    "too many lines": (show_request("GET", "/api/v1/logs?lines=2001"), {422}),
    "no number": (show_request("GET", "/api/v1/logs?lines=-1"), {422}),
    "a query without a value": (show_request("GET", "/api/v1/logs?lines"), {400}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_requests_are_refused_and_the_server_lives(api: Api, name: str) -> None:
    data, statuses = HOSTILE[name]
    before = [what for what in api.node.asked if what[0] == "power.off"]
    assert api.status_of(data) in statuses
    assert [what for what in api.node.asked if what[0] == "power.off"] == before
    assert api.client().get("/services") == SERVICES


def test_the_answer_to_another_method_names_those_that_work(api: Api) -> None:
    head = api.exchange(show_request("PUT", "/api/v1/update")).partition(b"\r\n\r\n")[0]
    assert b"Allow: GET, HEAD, POST" in head.split(b"\r\n")


def test_head_has_no_body(api: Api) -> None:
    head, _, body = api.exchange(show_request("HEAD", "/api/v1/status")).partition(b"\r\n\r\n")
    assert head and not body


def test_one_address_can_not_take_all_places(api: Api) -> None:
    taken = []
    try:
        for _ in range(FROM_ONE):
            taken.append(socket.create_connection((api.target.host, api.target.port), 60))
        with pytest.raises((OSError, ssl.SSLError)):
            api.connect()
    finally:
        for plain in taken:
            plain.close()
    wait_until(lambda: is_served(api), "there is a place again", 60)


def is_served(api: Api) -> bool:
    try:
        return bool(api.client().get("/services") == SERVICES)
    except RemoteError:
        return False


def test_every_call_is_in_the_audit_log(api: Api) -> None:
    api.client(Role.OPERATOR, name="anna").post("/services/redis/restart")
    with pytest.raises(RemoteError, match="403"):
        api.client(Role.READER, name="otto").post("/poweroff")
    entries = api.audit()
    last = check_chain(entries)
    assert last and last["path"] == f"{TOP}/audit"
    rows = [
        (one["caller"], one["role"], one["path"], one["event"], one["status"]) for one in entries
    ]
    path = f"{TOP}/services/redis/restart"
    assert ("anna", "operator", path, "called", None) in rows
    assert ("anna", "operator", path, "done", 200) in rows
    assert ("otto", "reader", f"{TOP}/poweroff", "refused", 403) in rows


def test_without_the_farms_key_nobody_can_call(tmp_path: Path) -> None:
    with running_api(tmp_path, f"farmer_id={FARM} registry=http://registry.example") as api:
        assert "registry is not on https" in api.about()["problem"]
        with pytest.raises(RemoteError, match="ended the connection"):
            api.client().get("/status")


def test_slow_callers_are_ended(api: Api) -> None:
    target = api.target
    with api.connect() as tls, socket.create_connection((target.host, target.port), 60) as plain:
        tls.sendall(b"GET /api/v1/status HTTP/1.1\r\n")
        assert b" 408 " in read_all(tls)
        assert plain.recv(1) == b""  # no handshake came
