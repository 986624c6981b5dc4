"""Flists of a few files on a hub in this process, archives, and requests to 0-hub's interface."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from flist.model import Route
from flist.pack.pack import pack
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.hub import LocalHub

ME = "/api/flist/me"
MARK = "----mark"
FORM = f"multipart/form-data; boundary={MARK}"


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


def encode_form(fields: dict[str, str], file_name: str | None, data: bytes = b"") -> bytes:
    """Return a form with fields, and with a file unless its name is None."""
    body = b""
    for name, value in fields.items():
        head = f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
        body += head.encode() + value.encode() + b"\r\n"
    if file_name is not None:
        head = f'--{MARK}\r\nContent-Disposition: form-data; name="file"; filename="{file_name}"'
        body += head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{MARK}--\r\n".encode()


def send_form(hub: LocalHub, path: str, body: bytes, user: str = "alice", **headers: str) -> Answer:
    """Send an encoded form."""
    head = {
        "content-type": FORM,
        **{key.replace("_", "-"): value for key, value in headers.items()},
    }
    if user:
        head["authorization"] = f"Bearer {hub.tokens[user]}"
    return send_body(hub.app, "POST", path, body, head)


def make_tar(members: list[tuple[tarfile.TarInfo, bytes]], kind: str = "w:gz") -> bytes:
    """Return an archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=kind) as archive:  # type: ignore[call-overload]
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return the head of an archive's member."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, 0o755
    return info
