"""A software TPM on a port of this machine, and boots that are measured into it."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from common.efi.eventlog import NO_ACTION, parse_log
from common.efi.keys import Key
from core.identity.measured import Measured, read_measured
from core.identity.places import EVENT_LOG, PUBLIC_KEY, SIGNATURES
from core.identity.tools import Tools
from image.efi.measure import sign_policy
from tests.helpers.efi import small_uki
from tests.helpers.needs import need_tool
from tests.helpers.pe import make_kernel
from tests.helpers.tpm.eventlog import boot_of
from tests.helpers.waiting import wait_until

HOST = "127.0.0.1"


class DirectTools(Tools):
    """Tools without the kernel's resource manager: what they load is flushed after each."""

    def run(self, tool: str, *words: str, stdin: bytes | None = None) -> bytes:
        try:
            return super().run(tool, *words, stdin=stdin)
        finally:
            super().run("flushcontext", "-t")


class SoftTpm:
    """A TPM; its state outlives a reboot."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.state.mkdir()
        self.port = free_ports()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with registers as after a reset."""
        words = ["--tpmstate", f"dir={self.state}", "--flags", "not-need-init,startup-clear"]
        words += ["--ctrl", f"type=tcp,port={self.port + 1}"]
        words += ["--server", f"type=tcp,port={self.port}"]
        self._process = subprocess.Popen(["swtpm", "socket", "--tpm2", *words])
        wait_until(self._answers, "the TPM answers")

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def reboot(self) -> None:
        """Reset the machine."""
        self.stop()
        self.start()

    def tools(self, task_s: float = 120.0) -> Tools:
        """Return tools for one task."""
        folder = self.folder / "work"
        folder.mkdir(exist_ok=True)
        return DirectTools(folder, f"swtpm:host={HOST},port={self.port}", task_s)

    def measure(self, log: bytes) -> None:
        """Extend the registers as an event log says."""
        events = [event for event in parse_log(log) if event.kind != NO_ACTION]
        words = [f"{event.pcr}:sha256={event.digest.hex()}" for event in events]
        self.tools().run("pcrextend", *words)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self.port + 1), 1):
            return True
        return False


@contextlib.contextmanager
def running_tpm(folder: Path) -> Iterator[SoftTpm]:
    """Yield a TPM that runs."""
    need_tool("swtpm")
    need_tool("tpm2")
    tpm = SoftTpm(folder)
    try:
        tpm.start()
        yield tpm
    finally:
        tpm.stop()


def free_ports() -> int:
    """Return a port that is free, as is the next one, where a TPM's control is."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind((HOST, 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                second.bind((HOST, port + 1))
                return port


def release_key(private: RSAPrivateKey) -> Key:
    """Return the key as a release signs with it."""
    return Key(private.public_key(), lambda data: private.sign(data, PKCS1v15(), SHA256()))


def boot(
    tpm: SoftTpm, sections: dict[str, bytes], folder: Path, *, secure: bool = True
) -> Measured:
    """Reset the machine and boot a UKI of these sections; return what the node knows of it."""
    log = boot_of(small_uki(), sections, secure=secure, locality=0)
    tpm.reboot()
    tpm.measure(log)
    folder.mkdir(exist_ok=True)
    names = {SIGNATURES: ".pcrsig", PUBLIC_KEY: ".pcrpkey"}
    for name, section in names.items():
        (folder / name).write_bytes(sections.get(section, b""))
    (folder / EVENT_LOG).write_bytes(log)
    return read_measured(folder)


def sections_of(release: str, key: Key | None) -> dict[str, bytes]:
    """Return the sections of a release's UKI, signed for measured boot if there is a key."""
    sections = {".linux": make_kernel(), ".initrd": release.encode(), ".cmdline": b"quiet"}
    return sign_policy(sections, key) if key else sections
