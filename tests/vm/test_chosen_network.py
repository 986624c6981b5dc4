"""A farm's script in a network that was chosen: iPXE really fetches a kernel through it."""

from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.images import inputs
from bootstrap_server.images.personalise import personalise
from bootstrap_server.images.template import load_templates
from bootstrap_server.options.model import Options
from bootstrap_server.options.network import Network as ChosenNetwork
from bootstrap_server.script.boot import render_script
from bootstrap_server.script.site import Site
from common.debian.lock import DebianLock
from common.debian.pool import GoneError
from qemu.machine import QemuMachine
from qemu.model import Firmware, MachineConfig, Nic, UsbBoot
from qemu.network import ROUTER, Network
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.vm.tagged import Tagged
from tests.vm.test_chain import make_server

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]
STAGE_S = 180
VLAN = 5
OTHER_MAC, MAC = "52:54:00:00:0a:01", "52:54:00:00:0a:02"
STATIC = ChosenNetwork(MAC, "10.0.2.77/24", ROUTER, ("10.0.2.3",), VLAN)
TAGGED_DHCP = ChosenNetwork(vlan=VLAN)

CASES = [
    pytest.param("2.0", "bios", STATIC, id="static-2.0-bios"),
    *(
        pytest.param(version, firmware, network, id=f"{name}-{version}-{firmware}", marks=matrix)
        for matrix in [pytest.mark.matrix]
        for version in ("2.0", "1.21")
        for firmware in ("bios", "uefi")
        for name, network in (("static", STATIC), ("dhcp", TAGGED_DHCP))
        if (version, firmware, name) != ("2.0", "bios", "static")
    ),
]


@pytest.mark.parametrize(("version", "firmware", "chosen"), CASES)
def test_a_kernel_comes_through_a_tagged_vlan(
    version: str,
    firmware: Firmware,
    chosen: ChosenNetwork,
    tmp_path: Path,
    artefacts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two cards, of which only the second leads anywhere, and only with the tag."""
    need_tool("qemu-system-x86_64")
    if firmware == "uefi":
        need_uefi()
    if version != "2.0":
        use_older_ipxe(monkeypatch)
    with Network() as network:
        listener = open_listener("127.0.0.1", 0)
        url = f"http://{ROUTER}:{listener.getsockname()[1]}"
        image = tmp_path / "farm.img"
        script = render_script(Options("dev", 1, network=chosen), Site(url, url, has_log=True))
        image.write_bytes(b"".join(personalise(load_templates()["usb"], script).parts))
        nics = (
            Nic(is_connected=False, mac=OTHER_MAC),
            Nic(mac=MAC, network=Tagged(network, VLAN)),
        )
        config = MachineConfig(boot=UsbBoot(image), firmware=firmware, nics=nics)
        bootstrap = Asked(make_server(tmp_path, url))
        with (
            serve_in_thread(bootstrap, listener),
            QemuMachine(config, artefacts=artefacts) as machine,
        ):
            machine.wait_for_console_text(f"iPXE {version}", STAGE_S)
            address = chosen.address.partition("/")[0] or "10.0.2."
            machine.wait_for_console_text(f"net1-{VLAN} has address {address}", STAGE_S)
            machine.wait_for_console_text("/vmlinuz... ok", STAGE_S)
            shown = [line.text for line in machine.console_lines()]
    assert "/boot/script" in bootstrap.paths, shown


class Asked:
    """Notes the paths that are asked for."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        self.paths.append(scope.get("path", ""))
        await self.app(scope, receive, send)


def use_older_ipxe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images be made with Debian 13's iPXE, as if the newer one were gone."""

    def fetch_locked(lock: DebianLock) -> Path:
        raise GoneError(f"cannot fetch iPXE {inputs.ipxe_version(lock)}")

    monkeypatch.setattr(inputs, "fetch_locked", fetch_locked)
