"""The pages agree with the tables and the script, and nothing that is typed becomes markup."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from fastapi import FastAPI

from bootstrap_server.nodes.identity import Identity
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import FIELDS
from bootstrap_server.pages.controls import CONTROLS, SIMPLE
from bootstrap_server.pages.farm import STAGES, describe_node
from bootstrap_server.pages.farmer import guess_system, show_screen
from bootstrap_server.pages.files import show_size
from bootstrap_server.pages.form import read_form
from bootstrap_server.pages.help import STAGES as HELP_STAGES
from bootstrap_server.pages.machines import MACHINES, find_kinds
from bootstrap_server.pages.qr import draw_qr
from bootstrap_server.pages.releases import show_releases
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.bootcodes import CODES
from tests.helpers.asgi import Answer, ask, send_body

FORMS = ["/", "/expert", "/generate", "/farms", "/help"]
MAC = "52:54:00:12:34:56"
HOSTILE = "\"><script>alert('1')</script>${x}\n&amp;"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    top = tmp_path_factory.mktemp("releases")
    (top / "dev").mkdir()
    for name in ("vmlinuz", "initramfs.zst"):
        (top / "dev" / name).write_bytes(b"x")
    settings = Settings("http://boot.example", "http://hub", top, "https://pages.example/boot")
    return create_app(settings)


def test_every_option_has_a_label_and_a_field(app: FastAPI) -> None:
    assert set(CONTROLS) == set(FIELDS)
    assert set(SIMPLE) == {"farm", "machine", "runmode", "extra"}
    page = ask(app, "/expert").text
    for name in set(FIELDS) - {"mirror"}:  # this server has no mirrors
        assert f'name="{name}"' in page


def test_every_code_has_a_page(app: FastAPI) -> None:
    listed = ask(app, "/help").text
    for code, entry in CODES.items():
        assert code[2] in HELP_STAGES
        page = unescape(ask(app, f"/help/{code.lower()}").text)
        assert f"cannot boot ({code})" in page
        assert entry.todo in page
        assert f'href="/boot/help/{code}"' in listed
    for typed in ("ZB12", "zb12", "12", " ZB 12 "):
        assert "<h1>ZB12" in ask(app, f"/help?code={quote(typed)}").text
    assert ask(app, "/help?code=ZB99").status == 422
    assert ask(app, "/help/ZB99").status == 404


def test_style_and_script_are_kept_only_under_the_name_of_their_content(app: FastAPI) -> None:
    page = ask(app, "/expert").text
    for stem, suffix in (("style", "css"), ("page", "js")):
        (named,) = re.findall(rf'"/boot/({stem}-[0-9a-f]{{16}}\.{suffix})"', page)
        plain, kept = ask(app, f"/{stem}.{suffix}"), ask(app, f"/{named}")
        assert (plain.status, kept.status, plain.text) == (200, 200, kept.text)
        assert plain.headers["cache-control"] == "no-cache"
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        other = ask(app, f"/{stem}-{'0' * 16}.{suffix}")
        assert (other.status, other.text) == (200, plain.text), "a page of another release"
        assert other.headers["cache-control"] == "no-cache"
        assert kept.headers["etag"] == plain.headers["etag"]


def test_the_screen_on_the_page_is_that_of_the_script() -> None:
    options = Options("prod", 4711, ("zos-debug",))
    script = render_script(options, Site("http://boot.example", "http://hub"))
    said = [line.removeprefix("echo ") for line in script.splitlines() if "echo Zero-OS:" in line]
    for line in show_screen(options):
        assert any(re.fullmatch(make_pattern(echoed), line) for echoed in said), line


def make_pattern(echoed: str) -> str:
    """Return a pattern of what a command prints: anything in the place of its variables."""
    while (found := re.sub(r"\$\{[^{}$]*\}", "\t", echoed)) != echoed:
        echoed = found
    return re.escape(echoed).replace(re.escape("\t"), ".+")


def test_a_form_shows_the_error_of_every_field_at_once() -> None:
    wrong = dict.fromkeys(FIELDS, "?")
    form = read_form(list(wrong.items()), "prod", lambda _: None, needs_farm=True)
    assert set(form.errors) == set(FIELDS) - {"gateway"}  # it can't be judged without an address
    assert form.options is None
    assert {name: form.typed[name] for name in FIELDS} == wrong


def test_a_form_without_errors_gives_the_options() -> None:
    query = [
        ("farm", " 7 "),
        ("vlan", "20"),
        ("dns", "9.9.9.9"),
        ("utm_source", "x"),
        ("extra", ""),
    ]
    form = read_form(query, "test", lambda _: None, needs_farm=True)
    assert form.errors == {}
    assert form.options is not None
    assert form.options.path == "test/7?dns=9.9.9.9&vlan=20"


def test_a_form_needs_a_farm_only_where_it_says_so() -> None:
    assert read_form([], "prod", lambda _: None, needs_farm=False).options == Options("prod")
    assert set(read_form([], "prod", lambda _: None, needs_farm=True).errors) == {"farm"}


@pytest.mark.parametrize("path", FORMS)
def test_nothing_typed_becomes_markup(app: FastAPI, path: str) -> None:
    names = [*FIELDS, "machine", "kind", "code", "every"]
    page = ask(app, f"{path}?{urlencode(dict.fromkeys(names, HOSTILE))}")
    assert page.status == 422
    assert "<script>" not in page.text
    assert 'value=""' not in page.text.partition('id="farm"')[2][:200]
    for name in names:
        said = ask(app, f"{path}?{urlencode({'farm': '1', 'runmode': 'dev', name: HOSTILE})}").text
        assert "<script>" not in said


@pytest.mark.parametrize("path", [*FORMS, "/?farm=1&runmode=dev", "/images", "/generate?farm=1"])
def test_addresses_come_from_the_settings(app: FastAPI, path: str) -> None:
    """`ask` sends the Host header evil.example."""
    page = ask(app, path)
    assert page.status == 200
    assert "evil.example" not in page.text
    links = re.findall(r'(?:href|src|action)="([^"#]*)"', page.text)
    for link in links:
        assert link.startswith(("/boot/", "https://pages.example/boot/", "data:")) or not link


def test_a_machine_without_images_is_told_what_to_do(app: FastAPI) -> None:
    for name, machine in MACHINES.items():
        page = unescape(ask(app, f"/?farm=1&runmode=dev&machine={name}").text)
        assert (machine.without in page) == (not find_kinds(machine, can_sign=False))


@pytest.mark.parametrize(
    ("url", "root", "is_told"),
    [("https://boot", b"x" * 32, True), ("https://boot", b"", False), ("http://boot", b"x", False)],
)
def test_who_needs_uefi_is_told_so(tmp_path: Path, url: str, root: bytes, is_told: bool) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("vmlinuz", "initramfs.zst"):
        (tmp_path / "dev" / name).write_bytes(b"x")
    app = create_app(Settings(url, "http://hub", tmp_path, tls_root=root))
    page = ask(app, "/?farm=1&runmode=dev&machine=usb").text
    assert ("in UEFI mode.</strong>" in page) == is_told
    assert (f'href="{url}/full/dev/1">full image' in page) == is_told
    network = ask(app, "/?farm=1&runmode=dev&machine=network").text
    assert (f"{url}/krn/dev/1" in network) == (not is_told)
    assert f"{url}/uefi/dev/1" in network
    assert "in UEFI mode.</strong>" not in network


def test_the_qr_code_is_that_of_the_page() -> None:
    one, other = draw_qr("https://pages.example/?farm=1"), draw_qr("https://pages.example/?farm=2")
    assert one != other
    assert one == draw_qr("https://pages.example/?farm=1")
    assert "style=" not in one  # which the policy refuses


@pytest.mark.parametrize(
    ("agent", "system"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "windows"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)", "macos"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "linux"),
        ("", "windows"),
    ],
)
def test_the_steps_of_the_readers_system_come_first(agent: str, system: str) -> None:
    assert guess_system(agent) == system


@pytest.mark.parametrize(
    ("size", "shown"), [(1, "1 KiB"), (8192, "8 KiB"), (5 << 20, "5 MiB"), (3 << 19, "1.5 MiB")]
)
def test_sizes(size: int, shown: str) -> None:
    assert show_size(size) == shown


def test_the_releases_lead_to_their_images() -> None:
    live = {"version": "2.0", "identity": "ab"}
    rows = [{"version": "1.0", "since": "2026-01-02T00:00:00Z"}]
    channel = {"release": live, "since": "2026-02-02T00:00:00Z", "earlier": rows}
    none: dict[str, object] = {"release": None, "since": None, "earlier": []}
    channels = {"dev": none, "qa": none, "test": none, "prod": channel}
    images = {"channels": channels, "kernels": ["own.efi"]}
    settings = Settings("http://boot.example", "http://hub", Path("/nowhere"))
    text = unescape(bytes(show_releases(settings, images).body).decode())
    for word in ("2.0", "/generate?runmode=prod&kernel=1.0", "/generate?kernel=own.efi"):
        assert word in text
    assert text.count("No complete release") == 3


def make_lasting(top: Path) -> FastAPI:
    """Return an application that keeps its nodes, one of which waits."""
    (top / "releases").mkdir()
    settings = Settings("http://boot.example", "http://hub", top / "releases", state=top / "state")
    app = create_app(settings)
    assert app.state.server.nodes.provide(Identity(mac=MAC), None) is None
    return app


def post(app: FastAPI, **fields: str) -> Answer:
    """Send the form that claims a node."""
    return send_body(app, "POST", "/farms/7/claim", urlencode(fields).encode(), {})


def test_a_farmer_with_a_token_claims_a_node_that_waits(tmp_path: Path) -> None:
    app = make_lasting(tmp_path)
    server = app.state.server
    token = server.tokens.create("farmer", ["nodes"])
    assert 'href="/farms/7/claim"' in ask(app, "/farms/7").text
    assert MAC not in ask(app, "/farms/7/claim").text
    listed = post(app, token=token)
    assert MAC in listed.text
    assert listed.headers["cache-control"] == "no-store"
    wrong = post(app, token=token, node=MAC, runmode="test", extra="init=x")
    assert wrong.status == 422
    assert "first process" in wrong.text
    assert server.nodes.list_all()[0].options is None
    done = post(app, token=token, node=MAC, runmode="test", extra="zos-debug")
    assert done.status == 200
    assert "now belongs to" in done.text
    (node,) = server.nodes.list_all()
    assert node.options == Options("test", 7, ("zos-debug",))
    again = post(app, token=token, node=MAC, runmode="test")
    assert (again.status, "claimed already" in again.text) == (422, True)


@pytest.mark.parametrize("token", ["", "wrong-token"])
def test_nobody_claims_without_a_token(tmp_path: Path, token: str) -> None:
    app = make_lasting(tmp_path)
    reader = app.state.server.tokens.create("reader", ["read"])
    for text in (token, reader):
        answer = post(app, token=text, node=MAC, runmode="test")
        assert answer.status == 422
        assert 'id="token-error"' in answer.text
        assert MAC not in answer.text
        assert not text or text not in answer.text
    assert app.state.server.nodes.list_all()[0].options is None


def test_forms_that_are_none_are_refused(app: FastAPI, tmp_path: Path) -> None:
    lasting = make_lasting(tmp_path)
    for body in (b"\xff", b"&".join([b"a=1"] * 99)):
        assert send_body(lasting, "POST", "/farms/7/claim", body, {}).status == 422
    assert send_body(lasting, "POST", "/farms/7/claim", b"x" * 9999, {}).status == 413
    assert ask(app, "/farms/7/claim").status == 404  # nothing is kept there
    assert "/farms/7/claim" not in ask(app, "/farms/7").text


def test_a_node_is_described_by_its_last_boot() -> None:
    stages = [
        {"stage": "script", "at": "2026-11-30T10:00:00.000Z"},
        {"stage": "kernel", "at": "2026-11-30T10:00:09.600Z"},
        {"stage": "failed", "at": "2026-11-30T10:01:20.000Z", "code": "ZB22", "reason": "stalled"},
    ]
    node: dict[str, object] = {
        "id": "a",
        "name": "12:34:56",
        "run_mode": None,
        "is_enrolled": False,
    }
    node |= {"began": "2026-11-30T10:00:00.000Z", "state": "failed", "stages": stages}
    said = describe_node(node)
    assert said["failure"] == stages[2]
    steps = said["steps"]
    assert isinstance(steps, list)
    assert [step["after"] for step in steps[:3]] == ["0 s", "10 s", ""]
    assert [step["is_done"] for step in steps] == [True, True, *[False] * (len(STAGES) - 2)]
