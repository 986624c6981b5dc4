"""What a script does: on machines that are imagined, with cards, networks and servers that fail."""

from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.options.model import Options
from bootstrap_server.options.network import Network
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.compose import TOLD
from bootstrap_server.script.site import Site
from common.bootcodes import CODES, describe
from tests.helpers.ipxe.grammar import read_commands
from tests.helpers.ipxe.run import ETIMEDOUT, Machine

URL = "http://boot.example:8080"
SITE = Site(URL, "http://hub.example")
LOGGED = Site(URL, "http://hub.example", has_log=True)
SCRIPTS = Path(__file__).with_name("scripts")
MAC, OTHER_MAC = "52:54:00:00:00:01", "52:54:00:00:00:02"
TWO = {"net0": MAC, "net1": OTHER_MAC}
MIRROR, ANOTHER = "http://mirror.example", "https://another.example/zos"

GOLDEN: dict[str, tuple[Options, Site]] = {
    "plain": (Options("dev", 1, ("vlan:priv=3", "relay=wss://relay.example")), SITE),
    "no-farm": (Options("prod"), SITE),
    "card": (Options("dev", 1, network=Network(interface=MAC)), SITE),
    "vlan": (Options("dev", 1, network=Network(vlan=5)), SITE),
    "static": (
        Options(
            "dev",
            1,
            network=Network(
                address="10.0.0.5/24", gateway="10.0.0.1", dns=("10.0.0.1", "2001:db8::1")
            ),
        ),
        SITE,
    ),
    "static-ipv6": (
        Options("dev", 1, network=Network(address="2001:db8::5/64", gateway="fe80::1")),
        SITE,
    ),
    "ipv6": (Options("dev", 1, network=Network(ipv6="auto")), SITE),
    "proxy": (Options("dev", 1, network=Network(proxy="http://10.0.0.9:3128")), SITE),
    "mirrors": (
        Options("dev", 1, mirrors=(ANOTHER,)),
        Site(URL, "http://hub.example", mirrors=(MIRROR, ANOTHER)),
    ),
    "console": (Options("dev", 1, console=("ttyS1,115200n8",)), SITE),
    "farm-key": (Options("dev", 1, farm_key="yM9wHzCtEdPuh33O0Nd0qy2pFZiUKWiHuEOaY8mqBlU"), SITE),
    "release": (Options("dev", 1, release="0.1.0"), SITE),
    "log": (
        Options("dev", 1),
        Site("https://boot.example", "http://hub.example", has_log=True, token="1.abc_-"),
    ),
}


def write_golden() -> None:
    """Write the golden files anew, to be read before they are committed."""
    SCRIPTS.mkdir(exist_ok=True)
    for name, (options, site) in GOLDEN.items():
        (SCRIPTS / f"{name}.ipxe").write_text(render_script(options, site))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    assert render_script(*GOLDEN[name]) == (SCRIPTS / f"{name}.ipxe").read_text()


def test_each_golden_file_is_made_by_a_test() -> None:
    assert {path.stem for path in SCRIPTS.iterdir()} == set(GOLDEN)


def boot(options: Options, site: Site = SITE, **machine: Any) -> Machine:
    """Return a machine on which the script has run."""
    found = Machine(**machine)
    found.run(render_script(options, site))
    return found


def kernel_line(machine: Machine) -> str:
    """Return the command that fetched the kernel which has started."""
    assert machine.ended == "kernel", machine.screen
    return [line for line in machine.ran if line.startswith("kernel ")][-1]


def last_words(machine: Machine) -> str:
    """Return the line with the reason, of a machine that has given up."""
    assert machine.ended == "reboot", machine.screen
    (line,) = [line for line in machine.screen if "cannot boot" in line]
    return line


@pytest.mark.parametrize("name", GOLDEN)
def test_a_machine_where_nothing_fails_starts_the_kernel(name: str) -> None:
    machine = boot(*GOLDEN[name])
    assert machine.ended == "kernel", machine.screen
    assert machine.images == ["vmlinuz", "initramfs.zst"]
    assert machine.slept_s == 0


def test_a_kernel_with_its_initramfs_inside_starts_alone() -> None:
    """A UKI does not start beside any file of iPXE's, not even its own."""
    machine = boot(Options("dev", 1), is_whole=True)
    assert (machine.images, machine.ran[-1]) == (["vmlinuz"], "boot --autofree vmlinuz")
    assert "initrd=" not in kernel_line(machine)


def test_the_kernel_is_told_the_name_of_its_initramfs() -> None:
    """iPXE of 2019 hands it over under UEFI only by that name."""
    machine = boot(Options("dev", 1))
    assert kernel_line(machine).split()[6] == f"initrd={machine.images[1]}"


def test_a_server_whose_kernel_is_whole_leaves_no_name_for_the_next() -> None:
    options, site = GOLDEN["mirrors"]
    machine = boot(options, site, fails={"kernel": [ETIMEDOUT]}, is_whole=[False, True])
    assert "initrd=" not in kernel_line(machine)


@pytest.mark.parametrize(
    ("code", "machine"),
    [
        ("ZB10", {"is_too_old": True}),
        ("ZB11", {"cards": {}}),
        ("ZB12", {"fails": {"ifconf": 0x4C106035}}),
        ("ZB12", {"cards": TWO, "fails": {"ifconf": 1, "iflinkwait --timeout 1000 net1": 1}}),
        ("ZB13", {"fails": {"chain": 0x3E11613B}}),
        ("ZB13", {"fails": {"chain": ETIMEDOUT}, "dns": ""}),
        ("ZB14", {"fails": {"chain": ETIMEDOUT}, "gateway": ""}),
        ("ZB14", {"fails": {"chain": 0x280A6090}}),
        ("ZB17", {"fails": {"ifconf": 1, "iflinkwait": 1}}),
        ("ZB21", {"fails": {"chain": ETIMEDOUT}}),
        ("ZB22", {"fails": {"kernel": ETIMEDOUT}}),
        ("ZB22", {"fails": {"initrd": 0x0F0A6095}}),
        ("ZB23", {"fails": {"chain": 0x0216EB8F}}),
        ("ZB24", {"fails": {"chain": 0x2D0C618E}}),
        ("ZB25", {"fails": {"chain": 0x1D0C6539}}),
        ("ZB31", {"fails": {"kernel": 0x2E008081}}),
        ("ZB31", {"fails": {"initrd": 0x1D0C6239}}),
        ("ZB32", {"fails": {"boot": 0x2E008081}}),
        ("ZB32", {"fails": {"boot": 0x2E008081}, "is_whole": True}),
    ],
)
def test_what_the_screen_says_last(code: str, machine: dict[str, Any]) -> None:
    said = last_words(boot(Options("dev", 1), SITE, **machine))
    assert said.startswith(f"Zero-OS: {describe(code)}")


def test_last_words_of_chosen_networks() -> None:
    card = Options("dev", 1, network=Network(interface="52:54:00:00:00:09"))
    assert "(ZB15)" in last_words(boot(card, cards=TWO))
    vlan = Options("dev", 1, network=Network(vlan=5))
    assert "(ZB16)" in last_words(boot(vlan, fails={"vcreate": 0x2E852001}))
    static = GOLDEN["static"][0]
    assert "(ZB18)" in last_words(boot(static, fails={"set net0/ip": 1}))
    assert "(ZB17)" in last_words(boot(static, fails={"iflinkwait": 1}))


def test_every_reason_of_a_script_is_told_by_a_test() -> None:
    marks = test_what_the_screen_says_last.pytestmark
    told = {code for code, _ in marks[0].args[1]} | {"ZB15", "ZB16", "ZB18"}
    assert told == set(TOLD) == {code for code in CODES if code < "ZB4"}


def test_a_failure_is_tried_again_and_forgotten() -> None:
    machine = boot(Options("dev", 1), fails={"kernel": [ETIMEDOUT], "initrd": [0x1D0C6239]})
    assert machine.ended == "kernel"
    assert [line for line in machine.ran if line.startswith("sleep")] == ["sleep 2", "sleep 4"]
    assert machine.images == ["vmlinuz", "initramfs.zst"]


def test_each_card_is_tried_in_rounds() -> None:
    machine = boot(Options("dev", 1), cards=TWO, fails={"ifconf": 1})
    tried = [line.split()[-1] for line in machine.ran if line.startswith("ifconf")]
    assert tried == ["net0", "net1"] * 4


def test_a_card_with_a_lease_but_no_route_does_not_block_the_next() -> None:
    machine = boot(Options("dev", 1), cards=TWO, fails={"chain": [ETIMEDOUT] * 3})
    assert machine.ended == "kernel"
    assert "ifclose net0" in machine.ran


def test_only_the_chosen_card_is_touched() -> None:
    options = Options("dev", 1, network=Network(interface=OTHER_MAC))
    machine = boot(options, cards=TWO, fails={"ifconf": [1]})
    assert machine.ended == "kernel"
    assert {line.split()[-1] for line in machine.ran if line.startswith("if")} == {"net1"}


def test_a_vlan_is_made_once_for_each_card() -> None:
    options = Options("dev", 1, network=Network(vlan=5))
    machine = boot(options, cards=TWO, fails={"ifconf": [1, 1, 1]})
    made = [line for line in machine.ran if line.startswith("vcreate")]
    assert made == ["vcreate --tag 5 net0", "vcreate --tag 5 net1"]
    assert "ifconf --configurator dhcp net1-5" in machine.ran
    assert machine.ended == "kernel"


def test_either_kind_of_address_will_do() -> None:
    options = Options("dev", 1, network=Network(ipv6="auto"))
    for failing in ("dhcp", "ipv6"):
        machine = boot(options, fails={f"ifconf --configurator {failing}": 1})
        assert machine.ended == "kernel", failing
    assert "(ZB12)" in last_words(boot(options, fails={"ifconf": 1}))


def test_a_dead_mirror_is_passed_over() -> None:
    options, site = GOLDEN["mirrors"]
    dead = {f"chain --autofree --timeout 30000 {ANOTHER}": ETIMEDOUT}
    machine = boot(options, site, fails=dict(dead))
    assert machine.ended == "kernel"
    assert machine.slept_s == 0
    (kernel,) = [line for line in machine.ran if line.startswith("kernel")]
    assert f" {URL}/kernel/dev/0123456789abcdef/vmlinuz " in kernel
    dead[f"chain --autofree --timeout 30000 {URL}"] = ETIMEDOUT
    machine = boot(options, site, fails=dict(dead))
    assert any(f" {MIRROR}/kernel/dev/" in line for line in machine.ran if "kernel" in line)


def test_a_server_that_answered_has_more_to_say_than_a_dead_one() -> None:
    options, site = GOLDEN["mirrors"]
    failing = {f"chain --autofree --timeout 30000 {URL}": 0x1D0C6539, "chain": ETIMEDOUT}
    assert "(ZB25)" in last_words(boot(options, site, fails=failing))


def reports(machine: Machine) -> list[str]:
    """Return the addresses that were told of the boot's stages."""
    return [line.split()[-1] for line in machine.ran if line.startswith("imgfetch")]


def test_stages_are_reported() -> None:
    told = reports(boot(Options("dev", 7), LOGGED))
    rest = "?uuid=4c4c4544-0000&mac=&serial=A%20B%26C&farm=7&mode=dev"
    assert told == [f"{URL}/boot/{stage}{rest}" for stage in ("script", "kernel", "initramfs")]
    assert not reports(boot(Options("dev", 7), SITE))


@pytest.mark.parametrize(("failing", "code"), [("kernel", "ZB22"), ("boot", "ZB32")])
def test_a_failure_is_reported_with_its_code(failing: str, code: str) -> None:
    machine = boot(Options("dev", 7), LOGGED, fails={failing: ETIMEDOUT})
    told = reports(machine)
    assert told[-1].startswith(f"{URL}/boot/failed?")
    assert told[-1].endswith(f"&code={code}")
    assert machine.settings["reports"] == "on"  # the card was open, so it got there


def test_the_screen_names_the_server_that_was_asked_last() -> None:
    options, site = GOLDEN["mirrors"]
    machine = boot(options, site, fails={"chain": ETIMEDOUT})
    assert (
        f"Zero-OS: last error https://ipxe.org/4c072035 from {MIRROR}/kernel/dev" in machine.screen
    )


def test_a_log_that_fails_is_asked_no_more_and_changes_nothing() -> None:
    machine = boot(Options("dev", 7), LOGGED, fails={"imgfetch": ETIMEDOUT})
    assert machine.ended == "kernel"
    assert machine.images == ["vmlinuz", "initramfs.zst"]
    assert len(reports(machine)) == 1


def test_a_report_is_never_given_to_the_kernel() -> None:
    for command in read_commands(render_script(Options("dev", 7), LOGGED)):
        if command.name == "imgfetch":
            assert command.arguments[:4] == ("--name", "report", "--timeout", "2000")
