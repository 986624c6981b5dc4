"""A bootstrap server and a hub with a whole release, as a farmer's nodes meet them."""

import contextlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.efi.authenticode import sign_image, strip_signatures
from flist.hub.app import create_app as create_hub
from image.model import Release
from serving.listen import open_listener, own_url
from serving.run import serve_in_thread
from tests.helpers.counted import CountedApp
from tests.helpers.efi import signer

HOST = "10.0.2.2"
FARM = 42
KERNEL = "zero-os-development-zos-v3.efi"  # upstream's name of a kernel
ANSWER_S = 300

# Forms of an address, after the kind.
SHORT = f"dev/{FARM}"
UPSTREAMS = f"dev/{FARM}/substrate=wss:______chain.example___ws%20zos-debug"
WITH_KERNEL = f"{UPSTREAMS}/{KERNEL}"
SAID = " substrate=wss://chain.example/ws zos-debug"  # what `UPSTREAMS` adds to the command line


@dataclass(frozen=True)
class Served:
    """The server. `url` is where nodes reach it, `here` where this process does."""

    app: CountedApp
    url: str
    here: str

    def fetch(self, address: str, to: Path) -> Path:
        """Write what is at an address to a file; return its path."""
        with urllib3.PoolManager(retries=False, timeout=ANSWER_S) as pool, open(to, "wb") as file:
            answer = pool.request("GET", f"{self.here}{address}", preload_content=False)
            assert answer.status == 200, answer.read()
            shutil.copyfileobj(answer, file)
        return to


@contextlib.contextmanager
def serve_release(
    release: Release,
    hub: Path,
    folder: Path,
    host: str = HOST,
    listen: Callable[[], socket.socket] = lambda: open_listener("127.0.0.1", 0),
) -> Iterator[Served]:
    """Serve a release as run mode dev; nodes reach `listen`'s sockets at `host`.

    Its UKI is signed with the tests' key, and is also a kernel of the operator's, `KERNEL`. Nodes
    that the server does not know belong to farm `FARM`.
    """
    channel, kernels = folder / "releases" / "dev", folder / "kernels"
    channel.mkdir(parents=True)
    kernels.mkdir()
    for name in ("vmlinuz", "initramfs.zst"):
        os.link(release.folder / name, channel / name)
    program = strip_signatures((release.folder / "zos.efi").read_bytes())
    (channel / "zos.efi").write_bytes(sign_image(program, signer()))
    os.link(channel / "zos.efi", kernels / KERNEL)
    listeners = [listen(), listen()]
    hub_url, url = (f"http://{host}:{each.getsockname()[1]}" for each in listeners)
    settings = Settings(
        *(url, hub_url, folder / "releases"),
        secure_boot=signer(),
        unknown_nodes=f"dev/{FARM}",
        kernels=kernels,
    )
    app = CountedApp(create_app(settings))
    with serve_in_thread(create_hub(hub), listeners[0]), serve_in_thread(app, listeners[1]):
        yield Served(app, url, own_url(listeners[1]))
