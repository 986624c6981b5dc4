"""Debian packages made for tests, locks of them, and a mirror on the loopback interface."""

import contextlib
import gzip
import hashlib
import http.server
import io
import lzma
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import zstandard

from common.debian.lock import DebianLock, LockedPackage

SNAPSHOT = "20260101T000000Z"
COMPRESS = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def make_member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    """Return a member of mode 0644; the content of a link is its target."""
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, 0o644, 7
    member.uname = "builder"
    if kind == tarfile.REGTYPE:
        member.size = len(content)
    else:
        member.linkname = content.decode()
    return member


def make_tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Return a tar archive."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


def make_deb(members: Sequence[tuple[tarfile.TarInfo, bytes]], suffix: str = ".xz") -> bytes:
    """Return a .deb with these files, whose script would make noise if anybody ran it."""
    script = b"#!/bin/sh\ntouch /tmp/ran-a-maintainer-script\n"
    control = make_tar([(make_member("./postinst", script), script)])
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(control, mtime=0),
        f"data.tar{suffix}": COMPRESS[suffix](make_tar(members)),
    }
    data = b"!<arch>\n"
    for name, content in parts.items():
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        data += content + b"\n" * (len(content) % 2)
    return data


def simple_deb(files: Mapping[str, bytes], suffix: str = ".xz") -> bytes:
    """Return a .deb with regular files."""
    return make_deb(
        [(make_member(f"./{name}", data), data) for name, data in files.items()], suffix
    )


def lock_package(name: str, deb: bytes, version: str = "1.0") -> LockedPackage:
    """Return a locked package with the size and hash of `deb`."""
    file = f"{name}_{version.rpartition(':')[2]}_amd64.deb"  # as Debian has it, without the epoch
    path = f"pool/main/{name[0]}/{name}/{file}"
    digest = hashlib.sha256(deb).hexdigest()
    return LockedPackage(name, version, "amd64", name, path, len(deb), digest)


def make_lock(*packages: LockedPackage) -> DebianLock:
    """Return a lock of packages."""
    names = tuple(package.name for package in packages)
    return DebianLock("trixie", ("main",), "amd64", SNAPSHOT, names, packages)


class Mirror:
    """A server of files by their path, which counts the requests for each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()
        self.url = ""


@contextlib.contextmanager
def serve_mirror() -> Iterator[Mirror]:
    """Serve files over HTTP in this block."""
    mirror = Mirror()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked[self.path] += 1
            data = mirror.files.get(self.path)
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield mirror
        finally:
            server.shutdown()
            thread.join(10)
