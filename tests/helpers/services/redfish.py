"""A management controller that has no machine: sushy-tools' emulator with its fake driver."""

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.helpers.serving.process import Running, running

USER, PASSWORD = "operator", "secret word"
MACHINES = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")
START_S = 120
NOTHING_BUT_FLOPPY = {"Floppy": {"Name": "Virtual Floppy", "MediaTypes": ["Floppy", "USBStick"]}}


@contextlib.contextmanager
def run_controller(
    folder: Path,
    *,
    machines: int = 1,
    tls: tuple[Path, Path] | None = None,
    config: Mapping[str, object] | None = None,
) -> Iterator[Running]:
    """Run a controller that manages machines which are off, until the block ends."""
    folder.mkdir()
    (folder / "htpasswd").write_text(f"{USER}:{hash_password()}\n")
    systems = [
        {"uuid": uuid, "name": f"node-{at}", "power_state": "Off",
         "nics": [{"mac": f"52:54:00:00:00:0{at}", "ip": "192.0.2.1"}]}
        for at, uuid in enumerate(MACHINES[:machines], 1)
    ]  # fmt: skip
    settings: dict[str, object] = {
        "SUSHY_EMULATOR_LISTEN_IP": "127.0.0.1",
        "SUSHY_EMULATOR_LISTEN_PORT": 0,
        "SUSHY_EMULATOR_STATE_DIR": str(folder),
        "SUSHY_EMULATOR_AUTH_FILE": str(folder / "htpasswd"),
        "SUSHY_EMULATOR_FAKE_SYSTEMS": systems,
        **(config or {}),
    }
    if tls:
        settings |= {"SUSHY_EMULATOR_SSL_CERT": str(tls[0]), "SUSHY_EMULATOR_SSL_KEY": str(tls[1])}
    text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
    (folder / "config.py").write_text(text)
    program = shutil.which("sushy-emulator", path=str(Path(sys.executable).parent))
    assert program, "sushy-tools is locked for tests"
    call: list[str | Path] = [program, "--fake", "--config", folder / "config.py"]
    with running(call, folder / "log", None, START_S) as server:
        yield server


def hash_password() -> str:
    """Return the bcrypt hash of `PASSWORD`."""
    import bcrypt

    return bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@contextlib.contextmanager
def serve_iso(content: bytes) -> Iterator[str]:
    """Serve one image, and 404 for all else; give its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_there = self.path in ("/iso/prod/4711", "/iso/prod/4711.iso")
            self.send_response(200 if is_there else 404)
            self.send_header("Content-Length", str(len(content) if is_there else 0))
            self.end_headers()
            if is_there:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
