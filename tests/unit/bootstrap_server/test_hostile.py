"""No user input adds a line, a command or a setting to a script.

The application answers ten thousand generated addresses, each with a 4xx status or with a script
whose commands are those of the template; for scripts in images, hundreds are enough. An independent
reader of iPXE scripts extracts the commands.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

import pytest
from fastapi import FastAPI

from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.images.template import Template
from bootstrap_server.script.boot import SLOT_BYTES
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.runmodes import RUN_MODES
from tests.helpers.asgi import Answer, ask, ask_all
from tests.helpers.ipxe.grammar import Command, read_commands

URL = "http://boot.example"
HUB = "http://hub.example"
SEED = 20261121
CASES = 10_000
IMAGES = 800
FIXED = f"hub={HUB} bootstrap={URL} console=tty0 console=ttyS0,115200n8 panic=60 nomodeset".split()
WORD = re.compile(r"[a-z0-9][A-Za-z0-9._:,=/@+-]{0,255}")
SET_BY_US = {"runmode", "farmer_id", "hub", "version", "init", "rdinit", "initrd", "root"}

POISON = [
    *["\n", "\r", "\r\n", "\0", "\t", "\v", "\f", "\x1b[2J", "\x7f", "\x85", "\u2028", "\ufeff"],
    *["&&", "||", ";", "#", "\\", "\\\n", "${", "}", "${net0/mac}", "${why}", "$", "`id`", "$(id)"],
    *["%0A", "%0a", "%250A", "%00", "%", "%c0%8a", "___", "____", "..", "../", "/", "//", "?", "&"],
    *["'", '"', "<script>", "{0}", "{farm}", "{{7*7}}", "%s", "-", "--", "-n", "--name", ":", "@"],
    *["chain", "http:______evil.example", "\nchain http://evil.example/x", "shell", "exit", "goto"],
    *["init=/bin/sh", "rdinit=x", "runmode=prod", "farmer_id=2", "hub=http://evil", "initrd=x"],
    *["\u0663", "\uff11", "é", "\U0001f600", "\uff10", "\xb2"],
    *["A" * 300, "9" * 400, "a=" + "b" * 2000, " " * 1100, "a " * 40, "-1", "+1", "0x1", "1e9"],
    *["root=/dev/sda", "in-it", "LD_PRELOAD=x", "console=ttyS1", "=", "==", "a=b", "zos-debug"],
    *["1", "2", "42", "4294967295", "4294967296", " ", "vlan:priv=3", "relay=wss:______a.b", "_"],
]
HARMLESS = ["zos-debug", "vlan:priv=3", "ssh-user=me", "a=b", "console=ttyS1", "x=a___b", "mem=1G"]


def pick_mix(rng: random.Random, clean: str) -> str:
    """Return poison: pure, mixed, or inserted somewhere into a clean text."""
    mix = "".join(rng.choices(POISON, k=rng.randint(1, 4)))
    if rng.random() < 0.3:
        return mix
    at = rng.randint(0, len(clean))
    return clean[:at] + mix + clean[at:]


def encode(rng: random.Random, text: str) -> str:
    """Return `text` for a request line: percent-encoded once or twice, with some characters raw."""
    safe = rng.choice(["", "/", ":=,@+/", "%/", "!$&'()*+,;=:@/%"])
    once = quote(text, safe=safe)
    return quote(once) if rng.random() < 0.05 else once


def make_targets(what: str = "ipxe", cases: int = CASES) -> Iterator[str]:
    """Yield addresses. Some of them are valid, so that both outcomes are tested."""
    rng = random.Random(SEED)
    for _ in range(cases):
        kind = rng.random()
        farm = str(rng.randint(1, 2**32 - 1))
        extra = " ".join(rng.sample(HARMLESS, k=rng.randint(0, 3)))
        mode = rng.choice(["dev", "qa", "test", "prod"])
        if kind < 0.4:
            farm = pick_mix(rng, farm)
        elif kind < 0.9:
            extra = pick_mix(rng, extra)
        elif kind < 0.95:
            mode = pick_mix(rng, mode)
        yield f"/{what}/{encode(rng, mode)}/{encode(rng, farm)}/{encode(rng, extra)}"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    others = ("a", "x", "mem")  # of the harmless parameters, beside the documented ones
    releases = tmp_path_factory.mktemp("releases")
    for mode in RUN_MODES:
        (releases / mode).mkdir()
        for name in BOOT_FILES:
            (releases / mode / name).write_bytes(b"file")
    return create_app(Settings(URL, HUB, releases, parameters=others))


@pytest.fixture(scope="module")
def template(app: FastAPI) -> list[Command]:
    return read_commands(ask(app, "/ipxe/dev/1").text)


def test_ten_thousand_hostile_addresses(app: FastAPI, template: list[Command]) -> None:
    targets = list(make_targets())
    refused = served = 0
    for target, answer in zip(targets, ask_all(app, targets), strict=True):
        if 400 <= answer.status < 500:
            refused += 1
        else:
            assert answer.status == 200, (target, answer)
            check_script(target, answer, template)
            served += 1
    assert refused > CASES // 2
    assert served > CASES // 20


def test_hundreds_of_hostile_addresses_of_images(
    app: FastAPI, template: list[Command], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A small image replaces the real one; the content of its slot is real.
    before, after = b"before" * 100, b"after" * 100
    blank = Template(before + bytes(SLOT_BYTES) + after, "digest", (len(before),))
    holder = app.state.server.templates
    monkeypatch.setattr(type(holder), "get", lambda _self, _name: blank)
    targets = list(make_targets("usb", IMAGES))
    refused = served = 0
    for target, answer in zip(targets, ask_all(app, targets), strict=True):
        if 400 <= answer.status < 500:
            refused += 1
            continue
        assert answer.status == 200, (target, answer)
        assert len(answer.body) == len(blank.data), target
        assert answer.body.startswith(before), target
        assert answer.body.endswith(after), target
        slot = answer.body[len(before) : len(before) + SLOT_BYTES]
        check_script(target, replace(answer, body=slot), template)
        assert slot.rstrip(b"\n") == ask(app, f"/ipxe{target[4:]}").body.rstrip(b"\n"), target
        served += 1
    assert refused > IMAGES // 2
    assert served > IMAGES // 20


def check_script(target: str, answer: Answer, template: list[Command]) -> None:
    """Compare a script with the template, command by command and word by word."""
    _, _, mode, farm, *rest = unquote(target.removesuffix("/")).split("/", 4)
    wanted = "".join(rest).replace("___", "/").split(" ")
    parameters = [word for word in wanted if word]
    assert mode in ("dev", "qa", "test", "prod"), target
    assert re.fullmatch("[1-9][0-9]*", farm, re.ASCII), target
    for word in parameters:
        assert WORD.fullmatch(word), target
        assert word.split("=")[0] not in SET_BY_US, target
    arguments = ("version=v3", f"runmode={mode}", f"farmer_id={farm}", *FIXED, *parameters)
    assert read_commands(answer.text) == [
        expect(command, mode, farm, parameters, arguments) for command in template
    ], target


def expect(
    command: Command, mode: str, farm: str, parameters: list[str], arguments: tuple[str, ...]
) -> Command:
    """Return what a command of the template (farm 1, dev) must be in another boot's script."""
    words = command.arguments
    if command.name == "kernel":
        words = (*words[: words.index("version=v3")], *arguments, "${release_parameters}")
    elif words[:3] == ("Zero-OS:", "run", "mode"):
        words = ("Zero-OS:", "run", "mode", f"{mode},", "farm", farm)
    elif words[:3] == ("Zero-OS:", "kernel", "parameters:"):
        words = (*words[:3], *(parameters or ["none"]))
    elif command.name == "set" and words[0] == "base1":
        words = ("base1", f"{URL}/kernel/{mode}")
    elif command.name == "imgfetch" and "/boot/" in words[-1]:
        words = (*words[:-1], words[-1].replace("&farm=1&mode=dev", f"&farm={farm}&mode={mode}"))
    return command._replace(arguments=words)


def test_the_host_header_changes_nothing(app: FastAPI) -> None:
    for headers in ({}, {"host": "evil.example"}, {"x_forwarded_host": "evil.example"}):
        assert "evil" not in ask(app, "/ipxe/dev/1", **headers).text


def test_the_form_escapes_repeated_input(app: FastAPI) -> None:
    clean = ask(app, "/?farm=x&runmode=dev&extra=%22", accept="text/html").text
    rng = random.Random(SEED)
    for _ in range(300):
        farm, extra = quote(pick_mix(rng, "x")), quote(pick_mix(rng, '"'))
        answer = ask(app, f"/?farm={farm}&runmode=dev&extra={extra}", accept="text/html")
        assert answer.status in (200, 422)
        if answer.status == 422 and answer.text.count('class="error"') == 2:
            assert answer.text.count("<") == clean.count("<")


def test_errors_do_not_echo_raw_markup(app: FastAPI) -> None:
    answer = ask(app, "/ipxe/dev/1/%3Cscript%3E", accept="text/html")
    assert answer.status == 422
    assert "<script" not in answer.text
