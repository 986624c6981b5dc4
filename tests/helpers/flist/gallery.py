"""A hub with something on every page: versions, signatures, links, tags, and hostile names."""

import json
import os
import struct
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flist.format.legacy.blocks import encode_legacy
from flist.format.signing.sign import sign_flist
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.hub.library.flists import LINK, TAGLINK, put_entry
from flist.model import ROOT_INO, Inode, Route
from flist.pack.pack import pack
from tests.helpers.flist.hub import LocalHub
from tests.helpers.flist.legacy import (
    Record,
    directory,
    directory_key,
    entry,
    rights_record,
    write_legacy,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"g")
SCRIPT = "<script>alert(document.cookie)</script>"
README = f"""# Web server

It serves *files*. See [the manual](https://example.org/) or [this](javascript:alert(1)).

| port | use |
| --- | --- |
| 80 | HTTP |

{SCRIPT}

![a pixel](https://example.org/tracker.png)
"""
LONG = b"n" * 251 + b".txt"
HOSTILE = (
    SCRIPT.encode().replace(b"/", b"\\") + b".txt",
    b"new\nline",
    b"caf\xe9.txt",
    "\u202egnp.exe".encode(),
    b"quote\"'&amp;.txt",
    b"%2e%2e%2fetc",
    b"#part?query=1",
    b" spaces ",
    b"back\\slash",
    b"javascript:alert(1)",
    "\u540d\u524d.txt".encode(),
    b"\x1b[31mred\x07",
    LONG,
)
FILE, FOLDER = 0o100644, 0o040755


def make_png(width: int = 64, height: int = 48) -> bytes:
    """Return a picture."""

    def part(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    row = b"\0" + b"".join(bytes((x * 4, 107, 83)) for x in range(width))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", body) + part(b"IEND", b"")


def make_tree(top: Path) -> Path:
    """Make a directory with files of every kind and with hostile names."""
    odd = top / "odd"
    odd.mkdir(parents=True)
    for name in HOSTILE:
        Path(os.fsdecode(os.fsencode(odd) + b"/" + name)).write_text("a hostile name\n")
    (top / "etc").mkdir()
    (top / "etc" / "motd").write_text(f"Welcome.\n{SCRIPT}\n\u202eevil\n")
    (top / "page.html").write_text(f"<!doctype html>{SCRIPT}")
    (top / "drawing.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{SCRIPT}</svg>")
    (top / "picture.png").write_bytes(make_png())
    (top / "no-picture.png").write_text(f"<html>{SCRIPT}")
    (top / "binary").write_bytes(b"\x7fELF" + bytes(range(256)) * 20)
    (top / "empty").touch()
    (top / "long.txt").write_text("".join(f"line {number}\n" for number in range(40_000)))
    (top / "link").symlink_to("etc/motd")
    (top / "away").symlink_to("/etc/motd")
    (top / "evil").symlink_to("javascript:alert(1)")
    os.mkfifo(top / "pipe")
    many = top / "many"
    many.mkdir()
    for number in range(450):
        (many / f"file-{number:04}").touch()
    return top


def make_flist(hub: LocalHub, tree: Path, meta: Path, tags: dict[str, str]) -> Path:
    """Pack a directory into the hub's store."""
    routes = [Route(0, 255, f"dir://{hub.root}/blocks")]
    pack(tree, meta, routes, tags=tags, is_checksum=True, processes=1)
    return meta


def publish(hub: LocalHub, user: str, name: str, meta: Path, signature: str | None = None) -> str:
    """Publish a flist as a user; return its digest."""
    repo, _, file = name.partition("/")
    draft = hub.hub.contents.receive([meta.read_bytes()])
    try:
        return hub.hub.flists.publish(hub.viewer(user), repo, file, draft, signature).digest
    finally:
        draft.discard()


def publish_older(hub: LocalHub, folder: Path) -> None:
    """Publish alice/older.flist, of the older format, with one file and a readme."""
    content = b"an older text\n"
    block, data = encode_legacy(content)
    hub.hub.blocks.put(hub.viewer("alice"), block.id, data, is_open=True)
    chunk = Record(struct.pack("<HHI", 128, 0, 0), ([Record(b"", (block.id, block.key))],))
    records = {
        directory_key(""): directory("", [entry("text", 1, len(content), chunk, "acl")], "acl"),
        "acl": rights_record(0o100644, 0, 0),
    }
    readme = json.dumps({"readme": "# Older\n", "license": "none"})
    write_legacy(folder / "older.flist", records, {"readme": readme})
    publish(hub, "alice", "alice/older.flist", folder / "older.flist")


def fill(hub: LocalHub, folder: Path) -> dict[str, str]:
    """Fill a hub; return the digests of alice/web.fl's two versions, "old" and "new"."""
    tree = make_tree(folder / "tree")
    meta = make_flist(hub, tree, folder / "web.fl", {"readme": README, SCRIPT: "a\nb\u202e"})
    old = publish(hub, "alice", "alice/web.fl", meta)
    (tree / "etc" / "motd").write_text("Welcome again.\n")
    (tree / "added").mkdir()
    (tree / "added" / "inside").write_text("x")
    (tree / "empty").unlink()
    (tree / "page.html").chmod(0o600)
    meta = make_flist(hub, tree, folder / "web.fl", {"readme": README, "version": "2"})
    text = sign_flist(meta, "alice/web", KEY)
    public = KEY.public_key().public_bytes_raw().hex()
    hub.hub.accounts.set_key("alice", public)
    new = publish(hub, "alice", "alice/web.fl", meta, text)
    publish_older(hub, folder)
    hub.hub.repositories.create(hub.viewer("bob"), "bob", is_private=True)
    publish(hub, "bob", "bob/secret.fl", meta)
    repository = hub.hub.repositories.find(hub.viewer("alice"), "alice")
    with hub.hub.database.writing() as connection:
        put_entry(connection, repository.id, "latest.fl", LINK, target="alice/web.fl")
        put_entry(connection, repository.id, "web.fl", LINK, tag="stable", target="alice/web.fl")
        put_entry(connection, repository.id, "", TAGLINK, tag="now", target="alice/stable")
    return {"old": old, "new": new}


def write_large(path: Path, *, one: int, folders: int = 0, each: int = 200) -> Path:
    """Write a flist of empty files: `folders` directories of `each`, and one of `one` entries."""
    inodes = [Inode(ROOT_INO, 0, b"", 0, 0, 0, FOLDER, 0, 0, 0)]

    def add(parent: int, name: bytes, mode: int) -> int:
        ino = len(inodes) + 1
        inodes.append(Inode(ino, parent, name, 0, 0, 0, mode, 0, 0, 0))
        return ino

    tops = [add(ROOT_INO, b"folder-%04d" % number, FOLDER) for number in range(folders)]
    huge = add(ROOT_INO, b"huge", FOLDER)
    for parent in tops:
        for number in range(each):
            add(parent, b"file-%04d" % number, FILE)
    for number in range(one):
        add(huge, b"entry-%06d" % number, FILE)
    write_flist(path, Tables(inodes, {}, {}, {}, []))
    return path
