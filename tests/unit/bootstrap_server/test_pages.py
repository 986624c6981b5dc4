"""The pages agree with the tables and the script, and nothing that is typed becomes markup."""

import re
from html import unescape
from urllib.parse import quote, urlencode

import pytest
from fastapi import FastAPI

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
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.bootcodes import CODES
from tests.helpers.asgi import ask

FORMS = ["/", "/expert", "/generate", "/farms", "/help"]
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
        assert (machine.without in page) == (not find_kinds(machine))


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
