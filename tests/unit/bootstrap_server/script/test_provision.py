"""The script of an image that belongs to nobody, by an independent reader of iPXE's scripts."""

from bootstrap_server.script.provision import render_provision
from bootstrap_server.script.site import Site
from tests.helpers.ipxe.grammar import read_commands


def test_each_card_asks_what_the_machine_is() -> None:
    script = render_provision(Site("http://boot.example", "http://hub.example", has_log=True))
    commands = read_commands(script)
    (asked,) = [command for command in commands if command.name == "chain"]
    assert asked.arguments[-1] == (
        "http://boot.example/provision/${${card}/mac}?uuid=${uuid}&serial=${serial:uristring}"
    )
    assert not [command for command in commands if command.name in ("kernel", "ntp", "imgfetch")]
    assert "boot/" not in script  # the script that it is given reports
    assert commands[-1].name == "reboot"


def test_the_clock_is_set_before_a_certificate_is_checked() -> None:
    script = render_provision(Site("https://boot.example", "http://hub.example"))
    names = [command.name for command in read_commands(script)]
    assert names.index("ntp") < names.index("chain")
