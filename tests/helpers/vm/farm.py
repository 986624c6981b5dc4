"""A farm's stick and the server that its script asks, both quick: their release is 1 KiB of kernel.

The server is real, in this process; a test changes what it does and with which time-outs its
scripts wait.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bootstrap_server.images.keys import read_root
from bootstrap_server.script import boot, cards, compose, download
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.bootcodes import describe
from qemu.machine import QemuMachine
from qemu.model import Firmware, MachineConfig, Nic, UsbBoot
from serving.listen import open_listener, own_url
from serving.run import serve_in_thread
from serving.settings import ServerSettings
from tests.helpers.serving.certificates import Authority
from tests.helpers.serving.faulty import FaultyApp
from tests.helpers.vm.kernel import make_kernel

HOST = "10.0.2.2"
MAC = "52:54:00:7a:05:00"
ARCHIVE_BYTES = 300_000
STAGE_S = 120
ANSWER_S = 60
QUICK: dict[str, tuple[Any, int]] = {
    "ROUNDS": (cards, 1),
    "TRIES": (download, 1),
    "STALL_MS": (download, 3000),
    "REBOOT_PAUSE_S": (compose, 2),
}


@dataclass(frozen=True)
class Farm:
    """What serves a node, and the folder for its files. `url` is the server as nodes reach it."""

    app: FaultyApp
    folder: Path
    url: str
    here: str
    root: Path | None = None

    def fetch_stick(self, address: str = "dev/1") -> Path:
        """Return the image that the server makes for this address."""
        with urllib3.PoolManager(
            retries=False, timeout=ANSWER_S, ca_certs=self.root, assert_hostname=HOST
        ) as pool:
            answer = pool.request("GET", f"{self.here}/usb/{address}")
            assert answer.status == 200, answer.data
        path = self.folder / "farm.img"
        path.write_bytes(answer.data)
        return path

    @contextlib.contextmanager
    def boot(
        self, *nics: Nic, address: str = "dev/1", firmware: Firmware = "bios", rtc: str = "utc"
    ) -> Iterator[QemuMachine]:
        """Boot a machine from the farm's stick."""
        config = MachineConfig(
            boot=UsbBoot(self.fetch_stick(address)),
            firmware=firmware,
            nics=nics or (Nic(mac=MAC),),
            memory_mib=256,
            rtc=rtc,
        )
        with QemuMachine(config, artefacts=self.folder / "machine") as machine:
            yield machine


@contextlib.contextmanager
def open_farm(
    folder: Path,
    name: str = HOST,
    mirrors: tuple[str, ...] = (),
    authority: Authority | None = None,
    port: int = 0,
) -> Iterator[Farm]:
    """Serve a release that says with what it was started; nodes know the server by `name`.

    With an `authority` it has a certificate, and its images trust that authority's root.
    """
    channel = folder / "releases" / "dev"
    channel.mkdir(parents=True)
    (channel / "vmlinuz").write_bytes(make_kernel())
    (channel / "initramfs.zst").write_bytes(bytes(ARCHIVE_BYTES))
    listener = open_listener("127.0.0.1", port)
    place = f"{name}:{listener.getsockname()[1]}"
    scheme, root, tls = "http", b"", ServerSettings()
    if authority:
        scheme, root = "https", read_root(authority.root)
        tls = ServerSettings(tls_cert=authority.certificate, tls_key=authority.key)
    url = f"{scheme}://{place}"
    settings = Settings(url, url, folder / "releases", mirrors=mirrors, tls_root=root)
    app = FaultyApp(create_app(settings, tls))
    here = own_url(listener, is_tls=authority is not None)
    with serve_in_thread(app, listener):
        yield Farm(app, folder, url, here, authority.root if authority else None)


def hurry(monkeypatch: pytest.MonkeyPatch, **more: int) -> None:
    """Let the scripts of this process' servers give up soon."""
    for name, (module, value) in QUICK.items():
        monkeypatch.setattr(module, name, more.get(name, value))
    monkeypatch.setattr(compose, "GIVE_UP", compose.give_up())
    forget_scripts()


def forget_scripts() -> None:
    """Drop what is kept of scripts, which has the constants of the time when it was made."""
    for module in (boot, cards, compose, download):
        for function in vars(module).values():
            if hasattr(function, "cache_clear"):
                function.cache_clear()


def wait_until_up(machine: QemuMachine, since: int = 0) -> None:
    """Wait until the kernel runs, with all of its initramfs and its command line."""
    words = "initrd=initramfs.zst version=v3 runmode=dev farmer_id=1 "
    text = f"kernel: initramfs of {ARCHIVE_BYTES:08x} bytes; {words}"
    machine.wait_for_console_text(text, STAGE_S, since)


def wait_for_code(machine: QemuMachine, code: str, since: int = 0) -> int:
    """Wait until the screen says why the node can't boot; return the number of the next line."""
    line = machine.wait_for_console_text("Zero-OS: cannot boot", STAGE_S, since)
    assert f"({code}): " in line.text, line.text
    assert f"Zero-OS: {describe(code)}".startswith(line.text)  # a screen has 80 columns
    return line.number + 1
