"""Provisioning over HTTP: the API with its token, and what a node gets."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from sqlalchemy import update

from bootstrap_server.errors import SettingsError
from bootstrap_server.script.waiting import LONGEST_PAUSE_S, pause_s, render_waiting
from bootstrap_server.settings import Settings
from bootstrap_server.state.tables import NODES
from bootstrap_server.web.app import create_app
from tests.helpers.asgi import Answer, ask, send_body

MAC = "52:54:00:12:34:56"
UUID = "4c4c4544-0042-3510-8053-b4c04f4d3233"
OPTIONS = {"runmode": "dev", "farm": 4711, "extra": ["zos-debug"], "vlan": 5}


def make_app(state: Path | None, **settings: Any) -> FastAPI:
    """Return an application."""
    url = "http://boot.example"
    return create_app(Settings(url, url, Path(), state=state, **settings))


class Api:
    """Requests with a token."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.head = {"authorization": "Bearer " + app.state.tokens.create("me", ["nodes"])}

    def send(self, method: str, path: str, body: object = b"") -> Answer:
        """Send a request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return send_body(self.app, method, f"/api/nodes{path}", data, self.head)

    def json(self, path: str) -> Any:
        """Return what an address answers."""
        return json.loads(self.send("GET", path).text)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    return make_app(tmp_path / "state")


@pytest.fixture
def api(app: FastAPI) -> Api:
    return Api(app)


def test_a_node_gets_what_its_row_says(app: FastAPI, api: Api) -> None:
    made = api.send("PUT", f"/{MAC}", OPTIONS | {"uuid": UUID})
    assert made.status == 201
    assert json.loads(made.text)["options"] == OPTIONS
    for address in (f"/provision/{MAC}", f"/provision/52-54-00-12-34-56?uuid={UUID.upper()}"):
        script = ask(app, address).text
        assert script == app.state.server.script(app.state.server.nodes.list_all()[0].options)
        assert "farmer_id=4711 " in script and " enrol=" in script
    history = api.json(f"/{UUID}")["history"]
    assert [(line["event"], line["who"]) for line in history] == [
        ("given", "the node"),
        ("given", "the node"),
        ("created", "me"),
    ]


def test_a_row_that_cannot_be_read_is_shown_and_can_be_replaced(app: FastAPI, api: Api) -> None:
    for mac in (MAC, "52:54:00:00:00:02"):
        api.send("PUT", f"/{mac}", OPTIONS)
    with app.state.server.database.writing() as connection:
        spoiled = update(NODES).where(NODES.c.mac == MAC).values(options='{"runmode":"gone"}')
        connection.execute(spoiled)
    bad, good = api.json("")["nodes"]
    assert (bad["mac"], bad["state"], bad["options"]) == (MAC, "unreadable", None)
    assert bad["fault"].startswith("the run mode is one of")
    assert (good["state"], good["options"]) == ("claimed", OPTIONS)
    assert len(api.send("GET", "/export").text.splitlines()) == 2
    assert "ZB52" in ask(app, f"/provision/{MAC}").text
    assert api.json(f"/{MAC}")["state"] == "unreadable"
    assert api.send("PUT", f"/{MAC}", OPTIONS).status == 200
    assert api.json(f"/{MAC}")["state"] == "claimed"


def test_an_unknown_node_waits_until_it_is_claimed(app: FastAPI, api: Api) -> None:
    script = ask(app, f"/provision/{MAC}?uuid={UUID}&serial=ab%20c").text
    assert script.startswith("#!ipxe\n")
    assert f"waiting to be claimed: node {MAC} (ZB51: " in script
    (waiting,) = api.json("")["nodes"]
    assert (waiting["state"], waiting["mac"], waiting["serial"]) == ("waiting", MAC, "AB C")
    again = next(word for word in script.split() if "/provision/" in word)
    assert again == f"http://boot.example/provision/{MAC}?uuid={UUID}&serial=AB+C&turn=1"
    assert "asking again in 10 s" in ask(app, again.removeprefix("http://boot.example")).text
    assert api.send("POST", f"/{UUID}/claim", OPTIONS).status == 200
    assert "farmer_id=4711" in ask(app, f"/provision/{MAC}").text
    assert api.send("POST", f"/{UUID}/claim", OPTIONS).status == 409
    assert api.send("POST", "/serial:nope/claim", OPTIONS).status == 404


def test_the_pauses_grow_up_to_a_limit() -> None:
    pauses = [pause_s(turn) for turn in range(8)]
    assert pauses == sorted(pauses) and pauses[0] < 10 and pauses[-1] == LONGEST_PAUSE_S
    assert pause_s(10**6) == LONGEST_PAUSE_S


def test_nothing_that_firmware_says_is_a_command() -> None:
    serial = "A${x}||reboot&& #\"'"
    script = render_waiting("http://boot.example", MAC, {"serial": serial}, 0, "ZB51")
    (line,) = [line for line in script.splitlines() if line.startswith("chain ")]
    assert not set("${}\"'#&") & set(line.partition("?serial=")[2].partition("&turn=")[0])
    assert line.count("||") == 1


def test_unknown_nodes_can_get_a_default(tmp_path: Path) -> None:
    app = make_app(tmp_path / "state", unknown_nodes="qa/7/zos-debug?vlan=9")
    script = ask(app, f"/provision/{MAC}").text
    assert "runmode=qa farmer_id=7 " in script and "vlan:priv=9" in script
    api = Api(app)
    assert api.json("")["nodes"] == []
    (given,) = api.json("/unknown/history")["history"]
    assert given["names"] == f"mac {MAC}" and given["options"]["farm"] == 7


@pytest.mark.parametrize("text", ["live", "dev/0", "dev/1/init=x", "dev/1?kernel=x", "dev/1/x/y"])
def test_a_default_that_no_node_can_get(text: str) -> None:
    with pytest.raises(SettingsError, match="unknown nodes"):
        make_app(None, unknown_nodes=text)


def test_without_a_database_nothing_is_provisioned() -> None:
    app = make_app(None)
    answer = ask(app, f"/provision/{MAC}")
    assert answer.status == 404 and "no database" in answer.text
    refused = ask(app, "/api/nodes")
    assert refused.status == 401
    api = Api(make_app(None, unknown_nodes="dev/1"))
    assert "farmer_id=1" in ask(api.app, f"/provision/{MAC}").text


def test_names_of_two_nodes_are_a_conflict_that_names_both(app: FastAPI, api: Api) -> None:
    api.send("PUT", f"/{MAC}", OPTIONS)
    api.send("PUT", f"/{UUID}", OPTIONS)
    answer = api.send("PUT", f"/{MAC}", OPTIONS | {"uuid": UUID})
    assert answer.status == 409
    assert f"the node mac {MAC} and the node uuid {UUID}" in answer.text
    script = ask(app, f"/provision/{MAC}?uuid={UUID}").text
    assert "(ZB52: " in script and "kernel " not in script


def test_a_card_that_moved_to_another_machine_is_a_conflict(app: FastAPI, api: Api) -> None:
    api.send("PUT", f"/{MAC}", OPTIONS | {"uuid": UUID})
    other = UUID.replace("4c", "5c")
    assert "(ZB52: " in ask(app, f"/provision/{MAC}?uuid={other}").text
    assert api.send("PUT", f"/{MAC}", OPTIONS | {"uuid": other}).status == 409


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        (MAC, b"", 422),
        (MAC, b"[" * 9000, 422),
        (MAC, [], 422),
        (MAC, {"farm": 1}, 422),
        (MAC, OPTIONS | {"farm": "x"}, 422),
        (MAC, OPTIONS | {"other": 1}, 422),
        (MAC, OPTIONS | {"extra": ["init=/bin/sh"]}, 422),
        (MAC, OPTIONS | {"mirror": ["http://evil.example"]}, 422),
        (MAC, OPTIONS | {"uuid": 5}, 422),
        (MAC, OPTIONS | {"uuid": "x"}, 422),
        (MAC, OPTIONS | {"mac": "52:54:00:12:34:57"}, 422),
        (MAC, b"x" * 20000, 413),
        ("nonsense", OPTIONS, 422),
        ("00:00:00:00:00:00", OPTIONS, 422),
        ("serial:None", OPTIONS, 422),
        ("00000000-0000-0000-0000-000000000000", OPTIONS, 422),
    ],
)
def test_what_no_node_can_be(api: Api, name: str, body: object, status: int) -> None:
    assert api.send("PUT", f"/{quote(name)}", body).status == status
    assert api.json("")["nodes"] == []


def test_a_node_can_be_changed_and_forgotten(api: Api) -> None:
    assert api.send("PUT", f"/{MAC}", OPTIONS).status == 201
    assert api.send("PUT", f"/{MAC.upper()}", {"runmode": "qa", "serial": "s1"}).status == 200
    assert api.json("/serial:S1")["options"] == {"runmode": "qa"}
    assert api.send("DELETE", "/serial:s1").status == 204
    assert api.send("DELETE", "/serial:s1").status == 404
    assert api.send("GET", f"/{MAC}").status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", f"/{MAC}"),
        ("GET", "/export"),
        ("GET", "/unknown/history"),
        ("PUT", f"/{MAC}"),
        ("DELETE", f"/{MAC}"),
        ("POST", f"/{MAC}/claim"),
        ("POST", "/import"),
    ],
)
def test_every_address_needs_a_token_of_its_scope(
    app: FastAPI, api: Api, method: str, path: str
) -> None:
    api.send("PUT", f"/{MAC}", OPTIONS)
    body = json.dumps(OPTIONS).encode()
    assert send_body(app, method, f"/api/nodes{path}", body, {}).status == 401
    other = {"authorization": "Bearer " + app.state.tokens.create("x", ["read", "publish"])}
    assert send_body(app, method, f"/api/nodes{path}", body, other).status == 403
    assert len(api.json("")["nodes"]) == 1


@pytest.mark.parametrize(
    "address", ["/provision/x", f"/provision/{MAC}?uuid=x", f"/provision/{MAC}?turn=-1",
                f"/provision/{MAC}?other=1"],
)  # fmt: skip
def test_what_no_node_asks(app: FastAPI, api: Api, address: str) -> None:
    assert ask(app, address).status == 422
    assert api.json("")["nodes"] == []


SHEET = f"""mac,serial,runmode,farm,extra,dns
{MAC},S1,dev,4711,zos-debug console=ttyS1,
,s 2,qa,,,"10.0.0.1, 10.0.0.2"
"""


def test_a_sheet_is_imported_and_exported(api: Api) -> None:
    answer = api.send("POST", "/import", SHEET.encode())
    assert (answer.status, json.loads(answer.text)) == (200, {"created": 2, "changed": 0})
    assert api.json("/serial:S1")["options"]["extra"] == ["zos-debug", "console=ttyS1"]
    exported = api.send("GET", "/export")
    assert exported.headers["content-type"].startswith("text/csv")
    again = api.send("POST", "/import", exported.body)
    assert json.loads(again.text) == {"created": 0, "changed": 2}
    assert api.send("GET", "/export").body == exported.body


def test_a_sheet_of_another_country(api: Api) -> None:
    data = "\ufeff" + SHEET.replace('"10.0.0.1, 10.0.0.2"', "10.0.0.1").replace(",", ";")
    assert api.send("POST", "/import", data.replace("\n", "\r\n").encode()).status == 200


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        ("", "line 1: a column"),
        ("mac,mac,runmode", "line 1: a column is there twice"),
        ("mac,color,runmode", "line 1: there is no column 'color'"),
        ("mac,farm", "line 1: a column"),
        (f"mac,runmode\n{MAC},dev\nx,dev", "line 3: a MAC"),
        (f"mac,runmode\n{MAC}", "line 2: 1 values for 2"),
        ("mac,runmode\n,dev", "line 2: no name"),
        (f"mac,runmode\n{MAC},live", "line 2: the run mode"),
        (f"mac,runmode,extra\n{MAC},dev,init=x", "line 2: the kernel parameter init"),
        (f"mac,runmode\n{MAC},dev\n52-54-00-12-34-56,qa", f"line 3: mac {MAC} is in line 2"),
        (f'mac,runmode\n{MAC},"dev', "line 2: "),
        ("mac,runmode\n" + "x,dev\n" * 30, "and 10 more"),
        (b"mac,runmode\n\xff,dev", "not UTF-8"),
        (f"mac,uuid,runmode\n52:54:00:00:00:01,{UUID},dev\n52:54:00:00:00:02,{UUID},dev", "line 3"),
    ],
)
def test_a_sheet_with_a_fault_imports_nothing(api: Api, sheet: str | bytes, said: str) -> None:
    answer = api.send("POST", "/import", sheet if isinstance(sheet, bytes) else sheet.encode())
    assert answer.status == 422
    assert said in json.loads(answer.text)["detail"]
    assert api.json("")["nodes"] == []


def test_a_sheet_that_contradicts_the_table_imports_nothing(api: Api) -> None:
    api.send("PUT", f"/{MAC}", OPTIONS | {"uuid": UUID})
    sheet = f"mac,uuid,runmode\n52:54:00:00:00:01,,dev\n{MAC},{UUID.replace('4c', '5c')},dev"
    answer = api.send("POST", "/import", sheet.encode())
    assert answer.status == 422 and "line 3: " in answer.text and "contradicts" in answer.text
    assert len(api.json("")["nodes"]) == 1
