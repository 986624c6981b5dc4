"""`zos bootstrap lan` on a bridge in a network namespace: what each kind of machine is answered."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.lan.lab import LAN, SERVER, ZOS, LanLab, open_lan
from tests.helpers.lan.pxe import OWN
from tests.helpers.processes import children_of, is_alive
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(900)
ROUTER = "10.9.0.2"
FILES = {
    0: "undionly.kpxe",
    7: "ipxe.efi",
    9: "ipxe.efi",
    11: "ipxe-arm64.efi",
    16: f"{LAN}/ipxe.efi",
    19: f"{LAN}/ipxe-arm64.efi",
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LanLab]:
    """Return a LAN with a bootstrap server, whose release no machine can run."""
    top = tmp_path_factory.mktemp("lan")
    channel = top / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (channel / name).write_bytes(name.encode() * 1000)
    with open_lan(top) as lab:
        lab.serve(top / "releases")
        yield lab


@pytest.fixture
def lab(network: LanLab) -> Iterator[LanLab]:
    """Return the LAN; what a test starts in it ends with the test."""
    running, network.running = network.running, []
    yield network
    network.close()
    network.running = running
    for name in ("lan.log", "router.log"):
        (network.folder / name).unlink(missing_ok=True)


def files_of(lab: LanLab, architecture: int, user_class: str = "") -> set[str]:
    """Return the boot files that a machine is told."""
    return {answer["file"] for answer in lab.boot(architecture, user_class)} - {""}


def test_beside_a_router_each_machine_is_told_its_file(lab: LanLab) -> None:
    lab.start_router()
    process = lab.lan()
    (child,) = children_of(process.pid)
    status = Path(f"/proc/{child}/status").read_text()
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert "CapBnd:\t0000000000003400" in status  # net_admin, net_raw, net_bind_service
    assert f"proxyDHCP beside {ROUTER}, which gives the addresses" in lab.said("lan.log")
    for architecture, file in FILES.items():
        answers = lab.boot(architecture)
        assert {answer["file"] for answer in answers} - {""} == {file}, architecture
        givers = {answer["server"] for answer in answers if is_given(answer)}
        assert givers <= {ROUTER}, architecture
    assert files_of(lab, 0, "iPXE") == files_of(lab, 7, "iPXE") == {f"{LAN}/autoexec.ipxe"}
    end_with(lab, process, signal.SIGINT)


def is_given(answer: dict[str, str]) -> bool:
    """Return whether an answer offers an address, and not the one that the machine has."""
    return answer["address"] not in ("0.0.0.0", OWN)


def test_alone_it_gives_addresses_as_well(lab: LanLab) -> None:
    process = lab.lan("--range", "10.9.0.100-10.9.0.120", "--dns", "10.9.0.1,10.9.0.3")
    assert f"full DHCP on {lab.bridge}" in lab.said("lan.log")
    for architecture, file in FILES.items():
        (answer,) = lab.boot(architecture)
        assert answer["file"] == file
        assert 100 <= int(answer["address"].rpartition(".")[2]) <= 120
        assert (answer["router"], answer["dns"]) == ("", "0a0900010a090003")
        assert answer["vendor"] == ("HTTPClient" if architecture in (16, 19) else "")
    assert files_of(lab, 7, "iPXE") == {f"{LAN}/autoexec.ipxe"}
    end_with(lab, process, signal.SIGTERM)


def test_two_servers_that_give_addresses(lab: LanLab) -> None:
    """Whoever asks for that is warned; the machine's firmware chooses."""
    lab.start_router()
    lab.lan("--dhcp", "full", "--range", "10.9.0.100-10.9.0.120", "--gateway", ROUTER)
    assert f"warning: {ROUTER} gives addresses on {lab.bridge}, too" in lab.said("lan.log")
    offers = {}
    wait_until(lambda: offers.update(offers_of(lab)) or len(offers) == 2, "both offers")
    assert offers == {ROUTER: "", "10.9.0.1": "ipxe.efi"}


def offers_of(lab: LanLab) -> dict[str, str]:
    """Return the boot file that each server offers to a UEFI machine."""
    return {answer["server"]: answer["file"] for answer in lab.boot(7)}


def test_what_machines_load(lab: LanLab) -> None:
    lab.lan("--dhcp", "proxy", "--extra", "zos-debug")
    for name in ("undionly.kpxe", "ipxe.pxe"):
        assert len(lab.fetch(f"tftp://10.9.0.1/{name}")) > 50_000
    for name in ("ipxe.efi", "snponly.efi", "ipxe-arm64.efi"):
        program = lab.fetch(f"tftp://10.9.0.1/{name}")
        assert program.startswith(b"MZ")
        assert lab.fetch(f"{LAN}/{name}") == program
    loader = lab.fetch("tftp://10.9.0.1/autoexec.ipxe").decode()
    assert f"chain --autofree {LAN}/autoexec.ipxe ||" in loader
    script = lab.fetch(f"{LAN}/autoexec.ipxe")
    assert script == lab.fetch(f"{SERVER}/ipxe/dev/4711/zos-debug")
    assert b"farmer_id=4711" in script
    outside = lab.run(
        lab.client, "curl", "-sSf", "--path-as-is", "tftp://10.9.0.1/../dnsmasq.conf", check=False
    )
    assert outside.returncode != 0 and "interface" not in outside.stdout


def end_with(lab: LanLab, process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal, and expect a clean end that leaves nothing."""
    children = children_of(process.pid)
    assert children
    process.send_signal(number)
    assert process.wait(60) == 0
    assert not any(map(is_alive, children))
    assert not lab.run_folder.exists()


def test_the_death_of_dnsmasq_ends_it_with_its_last_words(lab: LanLab) -> None:
    process = lab.lan("--dhcp", "proxy")
    assert files_of(lab, 7)  # it has come so far that it says why it ends
    (child,) = children_of(process.pid)
    os.kill(child, signal.SIGTERM)
    assert process.wait(60) == 1
    said = lab.said("lan.log")
    assert "cannot serve the LAN: dnsmasq ended with status 0: " in said, said
    assert "exiting on receipt of SIGTERM" in said, said
    assert not lab.run_folder.exists()


def test_one_at_a_time_serves_an_interface_and_the_next_one_after_a_kill(lab: LanLab) -> None:
    process = lab.lan("--dhcp", "proxy")
    words = ["lan", "--interface", lab.bridge, "--server", SERVER, "--farm", "1"]
    assert lab.start(lab.host, "second.log", *ZOS, *words).wait(60) == 1
    assert "another `zos bootstrap lan` does" in lab.said("second.log")
    assert process.poll() is None and lab.run_folder.exists()
    (child,) = children_of(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: not is_alive(child), "dnsmasq ends")
    assert lab.run_folder.exists()
    end_with(lab, lab.lan("--dhcp", "proxy"), signal.SIGTERM)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["--interface", "nope0"], 2, "cannot use the interface nope0: No such device"),
        (["--server", "http://10.9.0.1:1"], 1, "cannot get the farm's script"),
        (["--extra", "never=1"], 1, "/ipxe/dev/4711/never=1 answers 422"),
    ],
)
def test_what_can_not_work_is_said_and_leaves_nothing(
    lab: LanLab, words: list[str], status: int, text: str
) -> None:
    process = lab.lan("--dhcp", "proxy", *words)
    assert process.wait(60) == status
    assert text in lab.said("lan.log")
    assert not lab.run_folder.exists()


def test_an_interface_without_an_address_or_down(lab: LanLab) -> None:
    for name, change in (("down0", "down"), ("bare0", "up")):
        lab.ip(lab.host, "link", "add", name, "type", "bridge")
        lab.ip(lab.host, "link", "set", name, change)
    assert lab.lan("--interface", "down0").wait(60) == 2
    assert "down0: it is down\n  hint: ip link set down0 up" in lab.said("lan.log")
    assert lab.lan("--interface", "bare0").wait(60) == 2
    assert "bare0: it has no IPv4 address" in lab.said("lan.log")


@pytest.mark.parametrize("port", [67, 69])
def test_a_port_that_another_program_has(lab: LanLab, port: int) -> None:
    code = f"import socket, time; s = socket.socket(2, 2); s.bind(('', {port})); time.sleep(600)"
    lab.start(lab.host, "other.log", ZOS[0], "-c", code)
    wait_until(lambda: f":{port} " in lab.run(lab.host, "ss", "-uln").stdout, "the other program")
    assert lab.lan("--dhcp", "proxy").wait(60) == 1
    assert f"another program has UDP port {port}" in lab.said("lan.log")


def test_a_mirror_takes_the_place_of_the_server(lab: LanLab, tmp_path: Path) -> None:
    """Machines boot from it even if it starts while the server is away."""
    url = "http://10.9.0.1:8082"
    server = lab.serve(lab.folder / "releases", url)
    words = ["--dhcp", "proxy", "--server", url, "--mirror", str(tmp_path / "mirror")]
    process = lab.lan(*words)
    script = lab.fetch(f"{LAN}/autoexec.ipxe").decode()
    assert f"set base1 {LAN}/kernel/dev\n" in script and f"hub={LAN}/hub," in script
    assert script.count(url) == 1, "only as the hub that steps in if the mirror fails"
    release = lab.fetch(f"{LAN}/kernel/dev/release.ipxe")
    kernel = f"{LAN}/kernel/dev/{release.split()[3].decode()}/vmlinuz"
    assert lab.fetch(kernel) == b"vmlinuz" * 1000
    server.terminate()
    server.wait(60)
    end_with(lab, process, signal.SIGTERM)
    lab.lan(*words)
    assert "machines get the script of before" in lab.said("lan.log")
    assert lab.fetch(f"{LAN}/autoexec.ipxe").decode() == script
    assert lab.fetch(f"{LAN}/kernel/dev/release.ipxe") == release
    assert lab.fetch(kernel) == b"vmlinuz" * 1000
