"""Flists of a few files on a hub in this process, and requests in 0-hub's interface."""

import json
from pathlib import Path
from typing import Any

from flist.model import Route
from flist.pack.pack import pack
from tests.helpers.asgi import Answer
from tests.helpers.flist.hub import LocalHub

ME = "/api/flist/me"


def make_flist(folder: Path, hub: LocalHub, files: dict[str, str]) -> bytes:
    """Return the bytes of a flist, whose blocks are in the hub's store."""
    tree = folder / f"tree-{len(list(folder.iterdir()))}"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    meta = folder / f"{tree.name}.fl"
    pack(tree, meta, [Route(0, 255, f"dir://{hub.root}/blocks")], is_checksum=True, processes=1)
    return meta.read_bytes()


def publish(hub: LocalHub, path: str, data: bytes, user: str) -> None:
    """Publish a flist as REPO/NAME."""
    answer = hub.send("PUT", f"/{path}", data, user=user)
    assert answer.status == 201, answer.text


def change(hub: LocalHub, path: str, user: str, method: str = "GET") -> Answer:
    """Send a change below /api/flist/me."""
    return hub.send(method, f"{ME}/{path}", user=user)


def read(hub: LocalHub, path: str, user: str = "") -> Any:
    """Return the JSON of what was found."""
    answer = hub.send("GET", path, user=user)
    assert answer.status == 200, answer.text
    return json.loads(answer.body)
