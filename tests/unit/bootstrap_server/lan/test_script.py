"""The mirror's addresses in the server's script."""

import pytest

from bootstrap_server.lan.interface import LanError
from bootstrap_server.lan.script import find_hubs, localise
from bootstrap_server.options.model import Options
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from common.errors import ZosError
from tests.helpers.ipxe.grammar import read_commands

MIRROR = "http://mirror.example:8090"
OPTIONS = Options("dev", 4711, ("zos-debug",))


@pytest.mark.parametrize(
    ("public", "hub"),
    [
        ("http://boot.example", "http://hub.example"),
        ("https://boot.example:8443/zos", "http://hub.example/deep/hub"),
        ("http://one.example:8080", "http://one.example:8080/hub"),
        ("http://one.example", "http://one.example"),
        ("http://one.example", "http://one.example.org"),
        ("http://one.example", "http://one.example.org,https://two.example/hub"),
    ],
)
def test_both_addresses_are_the_mirrors(public: str, hub: str) -> None:
    script = render_script(OPTIONS, Site(public, hub))
    text = localise(script, "http://other.example", MIRROR)
    assert find_hubs(script) == hub.split(",")
    assert find_hubs(text) == [f"{MIRROR}/hub", *hub.split(",")]
    wanted = render_script(OPTIONS, Site(MIRROR, f"{MIRROR}/hub,{hub}"))
    clock = "ntp pool.ntp.org ||\n"  # HTTPS needs it, and the server's script had it
    assert read_commands(text.replace(clock, "")) == read_commands(wanted)


def test_a_script_of_another_form_is_refused() -> None:
    with pytest.raises(LanError, match="which hub"):
        find_hubs("#!ipxe\nboot http://boot.example/kernel\n")
    with pytest.raises(ZosError, match="another form"):
        localise("#!ipxe\nset base http://boot.example/kernel/dev\n", "http://x", MIRROR)


def test_the_word_of_the_command_line_says_how_the_server_calls_itself() -> None:
    script = (
        "#!ipxe\nset s http://a.example\nboot ${s}/kernel hub=http://h bootstrap=http://a.example"
    )
    text = localise(script, "http://x.example", MIRROR)
    assert "a.example" not in text
    assert text.endswith(f"hub={MIRROR}/hub,http://h bootstrap={MIRROR}")
