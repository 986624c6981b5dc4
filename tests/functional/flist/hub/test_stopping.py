"""A hub that is told to stop finishes the uploads that run."""

import json
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from tests.helpers.flist.hub import TOKEN, make_flist, make_root
from tests.helpers.flist.mount import END_WITHIN_S, serving
from tests.helpers.waiting import wait_until


def test_a_running_upload_is_finished(tmp_path: Path) -> None:
    root = make_root(tmp_path / "hub")
    data = make_flist(tmp_path, root, "content")
    with serving(root) as hub:
        place = urlsplit(hub.url)
        with socket.create_connection((place.hostname, place.port or 0), timeout=60) as sock:
            head = f"PUT /me/a.fl HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            half = len(data) // 2
            sock.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data[:half])
            wait_until(lambda: any((root / "tmp").iterdir()), "the file that is being written")
            hub.process.send_signal(signal.SIGTERM)
            wait_until(lambda: is_closed(place.hostname or "", place.port or 0), "a closed door")
            sock.sendall(data[half:])
            answer = sock.makefile("rb").read()
        assert answer.split()[1] == b"201"
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"] == "stored"
        assert hub.process.wait(END_WITHIN_S) == 0
    local = open_hub(HubSettings(root=root))
    viewer = local.tokens.find_viewer(TOKEN)
    assert local.contents.path(local.flists.find(viewer, "me", "a.fl").digest).read_bytes() == data
    local.close()


def is_closed(host: str, port: int) -> bool:
    """Return whether nobody accepts connections any more."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return True
    return False
