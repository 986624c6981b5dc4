"""Reports of booting nodes over HTTP: what is taken, refused, counted, and shown to whom."""

import json
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_server.nodes.report import PHASES, Stage, begins_boot, clean
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from tests.helpers.asgi import Answer, ask, send_body

MAC = "52:54:00:12:34:56"
UUID = "4c4c4544-0042-3510-8053-b4c04f4d3233"
JSON = {"content-type": "application/json"}


def make_app(reports_per_minute: int = 0) -> FastAPI:
    """Return an application whose state is in memory."""
    url = "http://boot.example"
    return create_app(Settings(url, url, Path(), reports_per_minute=reports_per_minute))


@pytest.fixture
def app() -> FastAPI:
    return make_app()


def post(app: FastAPI, stage: str, body: object, **headers: str) -> Answer:
    """Send a node's report."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send_body(app, "POST", f"/boot/{stage}", data, {**JSON, **headers})


def nodes(app: FastAPI, farm: int = 4711, token: str = "") -> list[dict[str, Any]]:
    """Return what the API lists."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    found: list[dict[str, Any]] = json.loads(ask(app, f"/api/farms/{farm}/nodes", **headers).text)[
        "nodes"
    ]
    return found


def test_a_boot_from_script_to_ready(app: FastAPI) -> None:
    for stage in ("script", "kernel", "initramfs"):
        answer = ask(app, f"/boot/{stage}?uuid={UUID}&mac={MAC}&serial=&farm=4711&mode=dev")
        assert (answer.status, answer.text) == (200, "#!ipxe\n")
    said = {"uuid": UUID, "mac": MAC, "farm": 4711, "mode": "dev", "version": "1.2"}
    for stage in ("linux", "network", "channel", "flist", "ready"):
        assert post(app, stage, said).status == 204
    (node,) = nodes(app)
    assert [step["stage"] for step in node["stages"]] == [*list(PHASES)]
    assert (node["state"], node["run_mode"], node["name"]) == ("ready", "dev", "12:34:56")
    metrics = ask(app, "/metrics").text
    assert 'zos_boot_reports_total{code="",stage="ready"} 1.0' in metrics
    assert "zos_boot_duration_seconds_count 1.0" in metrics


def test_a_failure_shows_its_code_and_reason(app: FastAPI) -> None:
    ask(app, f"/boot/script?mac={MAC}&farm=4711")
    ask(app, f"/boot/failed?mac={MAC}&farm=4711&code=ZB31")
    (node,) = nodes(app)
    assert node["state"] == "failed"
    assert node["stages"][-1]["code"] == "ZB31"
    assert "kernel" in node["stages"][-1]["reason"]
    ask(app, f"/boot/failed?mac={MAC}&farm=4711&code=ZB99")  # of a later version
    assert 'zos_boot_reports_total{code="other",stage="failed"} 1.0' in ask(app, "/metrics").text


@pytest.mark.parametrize(
    "query",
    [
        "",
        "mac=",
        "mac=x",
        f"mac={MAC}&farm=0",
        f"mac={MAC}&farm=-1",
        f"mac={MAC}&farm=1_0",
        f"mac={MAC}&farm=4294967296",
        f"mac={MAC}&farm=%D9%A1",
        f"mac={MAC}&mode=live",
        f"mac={MAC}&code=x",
        f"mac={MAC}&version=1",
        f"mac={MAC}&enrol=x",
        f"mac={MAC}&detail=x",
        f"mac={MAC}&uuid=1",
        f"mac={MAC}&serial=" + "x" * 129,
        "uuid=00000000-0000-0000-0000-000000000000",
    ],
)
def test_a_bad_report_of_ipxe_is_refused_and_leaves_nothing(app: FastAPI, query: str) -> None:
    assert ask(app, f"/boot/script?{query}").status == 422
    assert nodes(app) == []


@pytest.mark.parametrize("serial", ["%0A", "%FF%FF", "To be filled by O.E.M.", "x" * 100])
def test_a_serial_number_that_is_none_does_not_hide_the_machine(app: FastAPI, serial: str) -> None:
    address = f"/boot/script?mac={MAC}&farm=4711&serial={serial}".replace(" ", "%20")
    assert ask(app, address).status == 200
    token = app.state.tokens.create("x", ["read"])
    assert nodes(app, token=token)[0]["serial"] == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        {},
        {"mac": 5},
        {"mac": MAC, "farm": True},
        {"mac": MAC, "farm": 1.5},
        {"mac": MAC, "farm": 2**40},
        {"mac": MAC, "other": 1},
        {"mac": MAC, "detail": "x" * 501},
        {"mac": MAC, "version": "\n"},
    ],
)
def test_a_bad_report_of_a_node_is_refused(app: FastAPI, body: object) -> None:
    assert post(app, "linux", body).status == 422


def test_a_node_of_no_farm_reports_too(app: FastAPI) -> None:
    assert post(app, "linux", {"mac": MAC, "farm": None}).status == 204


def test_what_is_no_report_at_all(app: FastAPI) -> None:
    assert ask(app, f"/boot/halfway?mac={MAC}").status == 422
    assert post(app, "linux", {"mac": MAC}, **{"content-type": "text/plain"}).status == 415
    assert post(app, "linux", b"x" * 9000).status == 413
    assert ask(app, f"/boot/script?mac={MAC}", method="HEAD").status == 405
    assert nodes(app) == []


def test_an_address_that_reports_too_much_is_refused() -> None:
    app = make_app(reports_per_minute=8)
    statuses = [ask(app, f"/boot/kernel?mac={MAC}").status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    assert "retry-after" in ask(app, f"/boot/kernel?mac={MAC}").headers


def test_only_a_token_shows_whose_machine_it_is(app: FastAPI) -> None:
    said = {"mac": MAC, "uuid": UUID, "serial": "S3RIAL", "farm": 4711, "version": "9.9"}
    post(app, "failed", said | {"detail": "no route to 10.1.2.3", "code": "ZB42"})
    public = json.dumps(nodes(app))
    private = (MAC, UUID, "S3RIAL", "9.9", "10.1.2.3")
    assert [word for word in private if word in public] == []
    tokens = app.state.tokens
    full = json.dumps(nodes(app, token=tokens.create("farmer", ["read"])))
    assert [word for word in private if word not in full] == []
    (node,) = nodes(app)
    path = f"/api/farms/4711/nodes/{node['id']}"
    assert ask(app, path).status == 401
    assert ask(app, path, authorization="Bearer " + tokens.create("x", ["nodes"])).status == 403
    good = "Bearer " + tokens.create("x", ["read"])
    assert len(json.loads(ask(app, path, authorization=good).text)["boots"]) == 1
    assert ask(app, "/api/farms/4712/nodes/" + node["id"], authorization=good).status == 404
    assert ask(app, "/api/farms/4711/nodes", authorization="Bearer x").status == 401


@pytest.mark.parametrize("farm", ["0", "x", "-1", "1.5", "4294967296"])
def test_what_is_no_farm(app: FastAPI, farm: str) -> None:
    assert ask(app, f"/api/farms/{farm}/nodes").status == 422
    assert ask(app, f"/api/farms/{farm}/events").status == 422


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("cannot get http://me:pw@h/x", "cannot get http://…@h/x"),
        ("secret=abc token: xyz PASSWORD=1 end", "secret=… token: … PASSWORD=… end"),
        ("a\x1b[31m\r\nb\x00", "a [31m b"),
    ],
)
def test_nothing_secret_is_kept(app: FastAPI, said: str, kept: str) -> None:
    assert clean(said) == kept
    post(app, "failed", {"mac": MAC, "farm": 4711, "detail": said})
    token = app.state.tokens.create("x", ["read"])
    assert nodes(app, token=token)[0]["stages"][-1]["detail"] == kept


@given(st.text(max_size=200))
def test_a_cleaned_text_is_one_printable_line(text: str) -> None:
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)


def test_every_stage_after_every_other_begins_a_boot_or_not() -> None:
    begins = {
        (last, stage)
        for last, stage in product([None, *PHASES], get_args(Stage))
        if begins_boot(stage, last)
    }
    new: dict[str, list[str | None]] = {
        "script": [None, *PHASES],  # always
        "kernel": ["linux", "network", "channel", "flist", "ready"],
        "initramfs": ["linux", "network", "channel", "flist", "ready"],
        "linux": [None, "linux", "network", "channel", "flist", "ready"],
        "network": ["ready"],
        "channel": ["ready"],
        "flist": ["ready"],
    }
    assert begins == {(last, stage) for stage, before in new.items() for last in before}
