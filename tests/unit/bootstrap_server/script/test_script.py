"""The script: its golden text, its commands, its limits."""

import itertools

import pytest

from bootstrap_server.errors import TemplateError
from bootstrap_server.options.model import Options
from bootstrap_server.options.network import Network
from bootstrap_server.options.parameters import EXTRA_MAX_CHARS, PARAMETERS_MAX
from bootstrap_server.options.parse import parse_address
from bootstrap_server.options.urls import URL_MAX_CHARS
from bootstrap_server.script.boot import (
    COMMAND_LINE_MAX_BYTES,
    SLOT_BYTES,
    command_line,
    fill_slot,
    render_release,
    render_script,
)
from bootstrap_server.script.site import Site
from common.farms import FARM_MAX
from tests.helpers.ipxe.grammar import Command, read_commands

URL = "http://boot.example:8080"
HUB = "http://hub.example"
SITE = Site(URL, HUB)
MAC = "52:54:00:12:34:56"
MAY_FAIL = {"console", "ntp", "ifconf", "chain", "kernel", "initrd", "boot", "imgfree", "sleep"}
MAY_FAIL |= {"ifclose"}


def test_command_line() -> None:
    assert command_line(parse_address(["prod", "12", "zos-debug"]), SITE) == (
        "version=v3 runmode=prod farmer_id=12 "
        "hub=http://hub.example bootstrap=http://boot.example:8080 "
        "console=tty0 console=ttyS0,115200n8 panic=60 nomodeset zos-debug"
    )
    assert "farmer_id" not in command_line(parse_address(["prod"]), SITE)


def test_nodes_are_told_the_registry() -> None:
    site = Site(URL, HUB, registry_url="https://registry.example")
    words = command_line(parse_address(["prod", "12"]), site).split()
    assert "registry=https://registry.example" in words


def test_every_command_that_can_fail_has_an_alternative() -> None:
    commands = read_commands(
        render_script(parse_address(["dev", "1"]), Site("https://boot.example", HUB))
    )
    for this, following in itertools.pairwise(commands):
        if this.name in MAY_FAIL | {"iseq", "isset"}:
            assert following.operator in ("||", "&&"), this
        if this.operator == "&&":
            assert following.operator == "||", this


def test_the_release_script_names_the_release_and_nothing_else() -> None:
    assert read_commands(render_release("0123456789abcdef", "")) == [
        Command("", "set", ("release", "0123456789abcdef")),
        Command("", "echo", ("Zero-OS:", "release", "0123456789ab")),
    ]
    assert "echo Zero-OS: release 1.0+ab\n" in render_release("0123456789abcdef", "1.0+ab")
    assert "set whole yes\n" in render_release("own.1.a", "a", is_whole=True)


def test_an_old_ipxe_is_told_before_it_fails() -> None:
    commands = read_commands(render_script(parse_address(["dev", "1"]), SITE))
    names = [command.name for command in commands]
    assert names.index("imgfree") < names.index("echo")  # images that were loaded before
    at = names.index("iseq")
    assert commands[at].arguments == ("${probe}", "2")
    assert commands[at + 1] == Command("||", "goto", ("too_old",))
    assert at < names.index("ifconf")
    (ifconf,) = [command for command in commands if command.name == "ifconf"]
    assert "--timeout" not in ifconf.arguments  # iPXE of 2019 has no such option
    code = commands[names.index(":too_old") + 1]
    assert code.arguments == ("code", "ZB10")


@pytest.mark.parametrize("network", [Network(), Network(MAC, "10.0.0.5/24", vlan=5, ipv6="auto")])
def test_every_goto_has_its_label(network: Network) -> None:
    commands = read_commands(render_script(Options("dev", 1, network=network), SITE))
    labels = [command.name[1:] for command in commands if command.name.startswith(":")]
    targets = {command.arguments[0] for command in commands if command.name == "goto"}
    for made_up in ("why_${code}", "error_${error}"):
        targets.remove(made_up)
        targets |= {label for label in labels if label.startswith(made_up.partition("$")[0])}
    assert targets == set(labels)
    assert len(labels) == len(set(labels))


def test_the_clock_is_set_only_for_https() -> None:
    boot = parse_address(["dev", "1"])
    ntp = Command("", "ntp", ("pool.ntp.org",))
    assert ntp in read_commands(render_script(boot, Site("https://boot.example", HUB)))
    assert ntp not in read_commands(render_script(boot, SITE))


def test_a_script_of_maximal_input_fits() -> None:
    longest = ("a" * (EXTRA_MAX_CHARS // 4 - 1) + " ") * 4
    url = "https://" + "h" * (URL_MAX_CHARS - 8)
    site = Site(url, url)
    boot = parse_address(["prod", str(FARM_MAX), longest])
    assert len(command_line(boot, site)) <= COMMAND_LINE_MAX_BYTES
    assert len(fill_slot(render_script(boot, site))) == SLOT_BYTES
    assert parse_address(["prod", "1", "a " * PARAMETERS_MAX]).parameters


def test_a_script_with_every_option_fits() -> None:
    mirrors = tuple(f"https://{letter}{'h' * (URL_MAX_CHARS - 9)}" for letter in "abcdefgh")
    site = Site(mirrors[0], "https://hub.example", mirrors, has_log=True, token="1." + "t" * 300)
    address = "2001:db8:1111:2222:3333:4444:5555:6666/64"
    servers = tuple(f"2001:db8:1111:2222:3333:4444:5555:777{digit}" for digit in "123")
    network = Network(MAC, address, "fe80::1", servers, 4094, "auto", f"http://{'p' * 200}:3128")
    words = ("a" * 200, "b" * 200)
    options = Options("prod", FARM_MAX, words, "r" * 128, network, mirrors[4:], ("tty1", "tty2"))
    assert len(fill_slot(render_script(options, site))) == SLOT_BYTES


def test_slot_is_the_script_and_newlines() -> None:
    slot = fill_slot("#!ipxe\n")
    assert len(slot) == SLOT_BYTES
    assert slot.rstrip(b"\n") == b"#!ipxe"


def test_a_script_that_is_too_long_is_an_error() -> None:
    with pytest.raises(TemplateError):
        fill_slot("x" * (SLOT_BYTES + 1))


def test_the_script_reader_splits_lines_as_ipxe_does() -> None:
    assert read_commands("#!ipxe\necho a || reboot\n") == [
        Command("", "echo", ("a",)),
        Command("||", "reboot", ()),
    ]
    assert read_commands(":x console ||\necho a # b || c\nse\\\nt a\rb") == [
        Command("", ":x", ()),
        Command("", "console", ()),
        Command("||", "", ()),
        Command("", "echo", ("a",)),
        Command("", "set", ("a", "b")),
    ]
