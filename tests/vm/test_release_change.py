"""A release is published between a node's requests for kernel and initramfs."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from image.model import Release
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, UsbBoot
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.asgi import ask

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
KERNEL = re.compile(r"/kernel/dev/([0-9a-f]{32})/vmlinuz")
INITRAMFS = re.compile(r"/kernel/dev/([0-9a-f]{32})/initramfs\.zst")
FETCH_S = 600


class Publisher:
    """An application that publishes another initramfs after it has sent a kernel."""

    def __init__(self, app: Any, channel: Path) -> None:
        self.app = app
        self.state = app.state
        self.channel = channel
        self.kernels: list[str] = []
        self.initramfs: list[tuple[str, int]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request and record its release."""

        async def noted_send(message: Any) -> None:
            await send(message)
            match = INITRAMFS.fullmatch(scope["path"])
            if match and message["type"] == "http.response.start":
                self.initramfs.append((match[1], message["status"]))

        await self.app(scope, receive, noted_send if scope["type"] == "http" else send)
        match = KERNEL.fullmatch(scope.get("path", ""))
        if match:
            self.kernels.append(match[1])
            if len(self.kernels) == 1:
                self.publish()

    def publish(self) -> None:
        """Publish an initramfs with four more zero bytes, which the kernel ignores."""
        new = self.channel / "new"
        new.write_bytes((self.channel / "initramfs.zst").read_bytes() + bytes(4))
        new.replace(self.channel / "initramfs.zst")


def test_a_release_published_between_kernel_and_initramfs(
    release: Release, tmp_path: Path, artefacts: Path
) -> None:
    channel = tmp_path / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        shutil.copyfile(release.folder / name, channel / name)
    socket = open_listener("127.0.0.1", 0)
    url = f"http://10.0.2.2:{socket.getsockname()[1]}"
    app = create_app(Settings(url, "http://10.0.2.2:1", channel.parent))
    publisher = Publisher(app, channel)
    image = tmp_path / "farm.img"
    image.write_bytes(ask(app, "/usb/dev/1").body)
    config = MachineConfig(boot=UsbBoot(image), memory_mib=2048)
    with serve_in_thread(publisher, socket):
        with QemuMachine(config, artefacts=artefacts) as machine:
            failed = machine.wait_for_console_text("fetching failed; again in", FETCH_S)
            machine.wait_for_console_text("starting the kernel", FETCH_S, since=failed.number)
    old, new = publisher.kernels
    assert old != new
    assert publisher.initramfs == [(old, 404), (new, 200)]
