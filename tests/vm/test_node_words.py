"""What the kernel's command line can ask of a node: its network, and who must vouch for it."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from flist.hub.app import create_app as create_hub
from image.channel.actions import publish
from image.model import Release
from image.release.store import add_release, hold_store
from qemu.model import Nic
from qemu.network import Network
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.releases.store import Maintainer
from tests.helpers.vm.node import BOOT_S, boot_node
from tests.helpers.vm.tagged import TaggedPort
from tests.helpers.waiting import wait_until
from zero_os.boot.hub import LocalHub

pytestmark = [pytest.mark.vm, pytest.mark.matrix, pytest.mark.timeout(900)]
MAC = "52:54:00:0a:00:07"
UUID = "4c4c4544-0042-3510-8054-b4c04f564433"
READY = "bringup: node ready"
STAGE = re.compile(r"/boot/([a-z]+)")


class Recorder:
    """Takes the reports of a boot; everything else goes to `app`."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.got: list[tuple[str, dict[str, Any]]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        stage = STAGE.fullmatch(scope.get("path", ""))
        if not stage or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        body, is_more = b"", True
        while is_more:
            message = await receive()
            body, is_more = body + message["body"], message.get("more_body", False)
        self.got.append((stage[1], json.loads(body)))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def counted(hub: LocalHub) -> Iterator[tuple[CountedApp, str]]:
    """Serve the hub; yield it and its address as a node sees it."""
    app, listener = CountedApp(create_hub(hub.root)), open_listener("127.0.0.1", 0)
    with serve_in_thread(app, listener):
        yield app, f"http://10.0.2.2:{listener.getsockname()[1]}"


@pytest.fixture
def maintainer(tmp_path: Path, release: Release) -> Maintainer:
    """Return a store with the release, which no channel holds yet."""
    made = Maintainer.begin(tmp_path / "maintainer")
    with hold_store(made.layout, "a test"):
        add_release(made.layout, release.folder, print)
    return made


@pytest.fixture
def recorder(maintainer: Maintainer) -> Iterator[tuple[Recorder, str]]:
    """Serve the store; yield what is recorded, and the address as a node sees it."""
    listener = open_listener("127.0.0.1", 0)
    url = f"http://10.0.2.2:{listener.getsockname()[1]}"
    app = Recorder(
        create_app(Settings(url, url, store=maintainer.layout.top, root=maintainer.root))
    )
    with serve_in_thread(app, listener):
        yield app, url


def hold(maintainer: Maintainer, release: Release) -> None:
    """Have the channel dev hold the release."""
    maintainer.change(lambda it: publish(it, "dev", release.version, maintainer.reason()))


def test_a_node_waits_for_its_channel_and_tells_how_far_it_is(
    release: Release,
    maintainer: Maintainer,
    recorder: tuple[Recorder, str],
    counted: tuple[CountedApp, str],
    artefacts: Path,
) -> None:
    (seen, url), (hub, hub_url) = recorder, counted
    words = f"runmode=dev farmer_id=7 hub={hub_url} bootstrap={url} enrol=token-of-7"
    files = {"etc/zero-os/keys/root.json": maintainer.root.decode()}
    named = ("-uuid", UUID, "-smbios", f"type=1,uuid={UUID},serial=ABC-123")
    with boot_node(release, artefacts, append=words, files=files, extra_args=named) as machine:
        machine.wait_for_console_text("Zero-OS: cannot boot (ZB41): the release", BOOT_S)
        machine.wait_for_console_text("the channel dev has never held it; trying", BOOT_S)
        assert hub.requests.total() == 0
        hold(maintainer, release)
        machine.wait_for_console_text("the channel dev holds this release", BOOT_S)
        machine.wait_for_console_text(READY, BOOT_S)
        wait_until(lambda: seen.got[-1][0] == "ready", "the last report", BOOT_S)
    stages = [stage for stage, _ in seen.got]
    assert stages == ["linux", "network", "failed", "channel", "flist", "ready"]
    fields = seen.got[0][1]
    assert (fields["uuid"], fields["serial"]) == (UUID, "ABC-123")
    assert fields["mac"].startswith("52:54:00:")
    assert (fields["farm"], fields["mode"], fields["enrol"]) == (7, "dev", "token-of-7")
    assert fields["version"] == release.version
    assert seen.got[2][1]["code"] == "ZB41"


def test_a_release_that_was_withdrawn_mounts_nothing(
    release: Release,
    maintainer: Maintainer,
    recorder: tuple[Recorder, str],
    counted: tuple[CountedApp, str],
    artefacts: Path,
) -> None:
    hold(maintainer, release)
    maintainer.withdraw(release.version)
    (_, url), (hub, hub_url) = recorder, counted
    words = f"runmode=dev farmer_id=7 hub={hub_url} bootstrap={url}"
    files = {"etc/zero-os/keys/root.json": maintainer.root.decode()}
    refusal = f"cannot run release {release.version}: it was withdrawn from dev: 'a hole'"
    with boot_node(release, artefacts, append=words, files=files) as machine:
        first = machine.wait_for_console_text(refusal, BOOT_S)
        machine.wait_for_console_text(refusal, BOOT_S, since=first.number + 1)
        assert not any("flist" in line.text for line in machine.console_lines())
    assert hub.requests.total() == 0


def test_a_static_address(
    release: Release, counted: tuple[CountedApp, str], artefacts: Path
) -> None:
    """The first card is connected, too, but is not the one that was chosen."""
    words = f"runmode=dev farmer_id=1 hub={counted[1]} net.interface={MAC}"
    words += " net.address=10.0.2.77/24 net.gateway=10.0.2.2 net.dns=10.0.2.3"
    with boot_node(release, artefacts, append=words, nics=(Nic(), Nic(mac=MAC))) as machine:
        up = re.compile(r"up: eth\d: 10\.0\.2\.77/24, router 10\.0\.2\.2, dns 10\.0\.2\.3")
        machine.wait_for_console_text(up, BOOT_S)
        machine.wait_for_console_text(READY, BOOT_S)


def test_a_vlan(release: Release, counted: tuple[CountedApp, str], artefacts: Path) -> None:
    words = f"runmode=dev farmer_id=1 hub={counted[1]} vlan:priv=5"
    with ExitStack() as stack:
        port = TaggedPort(stack.enter_context(Network()), 5)
        nics = (Nic(network=port, mac=MAC),)
        machine = stack.enter_context(boot_node(release, artefacts, append=words, nics=nics))
        machine.wait_for_console_text(re.compile(r"up: eth\d\.5: 10\.0\.2\.15/24"), BOOT_S)
        machine.wait_for_console_text(READY, BOOT_S)
