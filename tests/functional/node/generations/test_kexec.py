"""Another kernel, fetched from a real bootstrap server by a signed channel; a fake loads it."""

import contextlib
import errno
import http.server
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.errors import ZosError
from node.channel import check_channel
from node.generations.held import Held
from node.generations.kexec import Kexec, Machine
from node.generations.reboots import Help, Reboots
from node.model import BootParameters
from serving.listen import open_listener
from serving.run import serve_in_thread
from tests.helpers.releases.store import Maintainer

LINE = "runmode=dev farmer_id=7 net.address='10.0.0.2/24'"


@dataclass
class Lab:
    """A node with the release 1.0, whose channel holds 2.0; `loaded` is what the kernel got."""

    folder: Path
    maintainer: Maintainer
    parameters: BootParameters
    loaded: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    fault: int = 0
    unloads: int = 0

    def load(self, kernel: int, initramfs: int, line: bytes) -> None:
        """Stand in for kexec_file_load(2)."""
        if self.fault:
            raise OSError(self.fault, os.strerror(self.fault))
        first, second = (os.pread(one, 1 << 20, 0) for one in (kernel, initramfs))
        assert os.get_inheritable(kernel) is False
        self.loaded.append((first, second, line.decode()))

    def unload(self) -> None:
        """Stand in for the same call with KEXEC_FILE_UNLOAD."""
        self.unloads += 1

    def kexec(self, **changes: Any) -> Kexec:
        """Return what loads kernels on this node."""
        top = self.folder
        line, run = top / "cmdline", top / "run"
        machine = Machine(top / "switch", top / "tpm", line, run, self.load, self.unload)
        check = partial(
            check_channel,
            self.parameters.bootstrap,
            "dev",
            root=top / "keys/root.json",
            state=top / "run/state",
            image=top / "os",
        )
        return Kexec(replace(self.parameters, **changes), check, machine)

    def left(self) -> list[Path]:
        """Return files that were left behind."""
        return list((self.folder / "run").glob("kexec-*"))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    maintainer = Maintainer.begin(tmp_path)
    maintainer.publish("dev", "2.0", parameters=["console=ttyS1", "farmer_id=7"])
    for name in ("tpm", "run"):
        (tmp_path / name).mkdir()
    (tmp_path / "switch").write_text("0\n")
    (tmp_path / "cmdline").write_text(f"{LINE}\n")
    (tmp_path / "os").write_text("ID=zero-os\n")
    listener = open_listener("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    app = create_app(Settings(url, url, store=maintainer.layout.top, root=maintainer.root))
    with serve_in_thread(app, listener):
        yield Lab(tmp_path, maintainer, BootParameters("dev", 7, (url,), url, kexec=True))


def test_the_release_of_the_channel_is_loaded_with_the_nodes_command_line(lab: Lab) -> None:
    lab.kexec().load("2.0")
    ((kernel, initramfs, line),) = lab.loaded
    assert kernel.startswith(b"vmlinuz of 2.0") and initramfs.startswith(b"initramfs.zst of 2.0")
    assert line == f"{LINE} console=ttyS1"
    assert lab.left() == []


@contextlib.contextmanager
def serve_always(body: bytes) -> Iterator[str]:
    """Run a server that answers everything with the same bytes; yield its URL."""

    class Liar(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [(b"2.0", b"3.0", "not what the channel's keys"), (b"\n", b"\n\n", "larger than")],
)
def test_another_file_than_the_signed_one_is_not_loaded(
    lab: Lab, old: bytes, new: bytes, why: str
) -> None:
    kernel = lab.maintainer.read("dev").files["vmlinuz"].sha256
    body = lab.maintainer.layout.blob(kernel).read_bytes().replace(old, new)
    kexec = lab.kexec()
    with serve_always(body) as url:
        kexec.parameters = replace(kexec.parameters, bootstrap=url)
        with pytest.raises(ZosError, match=why):
            kexec.load("2.0")
    assert (lab.loaded, lab.left()) == ([], [])


def test_a_release_that_the_server_lost_is_not_loaded(lab: Lab) -> None:
    kernel = lab.maintainer.read("dev").files["vmlinuz"].sha256
    lab.maintainer.layout.blob(kernel).unlink()
    with pytest.raises(ZosError, match="cannot fetch"):
        lab.kexec().load("2.0")
    assert (lab.loaded, lab.left()) == ([], [])


def test_what_the_channel_does_not_hold_is_not_loaded(lab: Lab) -> None:
    with pytest.raises(ZosError, match="the channel has changed"):
        lab.kexec().load("1.9")
    (lab.folder / "cmdline").write_text("x" * 2040)
    with pytest.raises(ZosError, match="too long"):
        lab.kexec().load("2.0")
    assert lab.loaded == []


def test_what_the_kernel_refuses_is_told(lab: Lab) -> None:
    lab.fault = errno.EPERM
    kexec = lab.kexec()
    with pytest.raises(ZosError, match="Operation not permitted") as caught:
        kexec.load("2.0")
    assert "Secure Boot" in (caught.value.hint or "")
    assert kexec.fault("3.0") == ""
    assert "refused" in kexec.fault("2.0")  # so the next reboot is an ordinary one
    assert lab.left() == []


def test_where_it_is_not_allowed_the_reason_is_told(lab: Lab) -> None:
    def refused(kexec: Kexec, why: str) -> None:
        assert why in kexec.fault("2.0")
        with pytest.raises(ZosError, match="without the firmware"):
            kexec.load("2.0")

    assert lab.kexec().fault("2.0") == ""
    refused(lab.kexec(kexec=False), "update.kexec=yes is not on")
    refused(Kexec(lab.parameters, None), "trusts no channel")
    (lab.folder / "tpm" / "tpm0").touch()
    refused(lab.kexec(), "TPM vouches")
    (lab.folder / "switch").write_text("1\n")
    refused(lab.kexec(), "closes the kernel")
    (lab.folder / "switch").unlink()
    refused(lab.kexec(), "the kernel can't")
    assert lab.loaded == []


def test_a_reboot_loads_only_another_kernel_and_only_if_it_may(lab: Lab) -> None:
    reboots = Reboots("1.0", lambda: None, lab.kexec())
    assert reboots.rows(Held("1.0.set00000001", 1))["kernel_changes"] is False
    with pytest.raises(ZosError, match="holds the one that runs"):
        reboots.before(once=False, kexec=True)
    assert reboots.rows(Held("2.0.set00000001", 2))["kexec"] == ""
    with pytest.raises(ZosError, match="no disk keeps"):
        reboots.before(once=True, kexec=True)
    assert lab.loaded == []
    reboots.before(once=False, kexec=False)
    assert lab.loaded == []
    reboots.before(once=False, kexec=True)
    assert len(lab.loaded) == 1


def test_what_can_not_be_loaded_is_left_to_the_firmware(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    kexec = lab.kexec()
    (lab.folder / "cmdline").write_text("x" * 2100)
    with pytest.raises(ZosError, match="too long"):
        kexec.load("2.0")
    assert "too long" in kexec.fault("2.0")
    (lab.folder / "cmdline").write_text(f"{LINE}\n")
    with monkeypatch.context() as patch, pytest.raises(ZosError, match="No space left"):
        patch.setattr(tempfile, "TemporaryDirectory", fail)
        kexec.load("2.0")
    kexec.load("2.0")  # an operator may try again
    assert len(lab.loaded) == 1


def fail(**_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_kernel_for_a_reboot_that_did_not_happen_is_forgotten(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    reboots = Reboots("1.0", lambda: None, lab.kexec())
    with pytest.raises(ZosError, match="has not looked"):
        reboots.before(once=False, kexec=True)
    reboots.rows(Held("2.0.set00000001", 2))
    found = iter((Help.POSSIBLE, Help.UNKNOWN))  # the disk fails between
    monkeypatch.setattr(reboots, "within", lambda _: next(found))
    before = lab.unloads
    with pytest.raises(ZosError, match="no disk keeps"):
        reboots.before(once=True, kexec=True)
    assert (len(lab.loaded), lab.unloads - before) == (1, 2)
    monkeypatch.setattr(reboots, "within", lambda _: Help.UNKNOWN)
    reboots.before(once=False, kexec=False)
    assert lab.unloads - before == 3
