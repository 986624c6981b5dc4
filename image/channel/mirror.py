"""A bootstrap server's store as a folder that is filled on demand, and what it lacks is sent back.

So a maintainer's command works on it as on a store of its own machine: it reads, verifies and signs
here, and the server gets the result. Every reader verifies what it reads, as with any store.
"""

import contextlib
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from common.files import write_atomic
from common.locks import say
from common.releases.layout import Layout
from common.releases.manifest import MAX_BYTES
from common.tuf.client import METADATA_MAX_BYTES, TIMESTAMP_MAX_BYTES
from image.channel.server import BootstrapServer, OutdatedError
from image.errors import ImageError

STAMP = "timestamp.json"
STAGED = "staged.json"
STAGED_MAX_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Mirror(Layout):
    """The store of `server` in the empty folder `top`; `seen` has the digests of what came."""

    server: BootstrapServer
    seen: dict[Path, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the server's address."""
        return self.server.url

    def blob(self, sha256: str) -> Path:
        """Return where a file is, fetched if the server has it."""
        place = Layout.blob(self, sha256)
        if not place.exists() and self.server.save(f"/api/store/sha256/{sha256}", place):
            self.seen[place] = sha256
        return place

    def release(self, version: str) -> Path:
        """Return where a manifest is, fetched if the server has it."""
        place = Layout.release(self, version)
        return self._fetched(place, f"/api/store/releases/{version}", MAX_BYTES)

    def metadata(self, name: str) -> Path:
        """Return where a file of metadata is, fetched if the server has it."""
        place = Layout.metadata(self, name)
        return self._fetched(place, f"/channel/metadata/{name}", METADATA_MAX_BYTES)

    def versions(self) -> list[str]:
        """Return the versions of the server's releases."""
        data = self.server.get("/api/store/releases", MAX_BYTES) or b"{}"
        try:
            return sorted(map(str, json.loads(data)["releases"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ImageError(f"cannot read the releases of {self}") from error

    def holds(self, sha256: str, size: int) -> bool:
        """Return whether a file is here or there."""
        is_here = Layout.blob(self, sha256).exists()
        return Layout.holds(self, sha256, size) if is_here else self.server.has(sha256, size)

    def begin(self) -> None:
        """Forget the state that was read, but not the files of releases."""
        for folder in ("metadata", "releases", "sha256"):
            (self.top / folder).mkdir(parents=True, exist_ok=True)
        staged = self.top / STAGED
        for path in [
            *(self.top / "metadata").iterdir(),
            *(self.top / "releases").iterdir(),
            staged,
        ]:
            path.unlink(missing_ok=True)
            self.seen.pop(path, None)
        if self.server.token:
            self._fetched(staged, f"/api/store/{STAGED}", STAGED_MAX_BYTES)

    def send(self) -> None:
        """Send what is new: files, then metadata, then what makes it valid."""
        new = [path for path in (self.top / "sha256").iterdir() if path not in self.seen]
        for number, path in enumerate(sorted(new), 1):
            size = path.stat().st_size
            if not self.server.has(path.name, size):
                say(f"sending file {number} of {len(new)} ({size / 1e6:.1f} MB)")
                self.server.put_file(path.name, path)
            self.seen[path] = path.name
        changed = [path for path in (self.top / "metadata").iterdir() if self._is_new(path)]
        query = f"?work={secrets.token_hex(8)}"
        for path in sorted(changed):
            if path.name != STAMP:
                self.server.put(f"/api/store/metadata/{path.name}{query}", path.read_bytes())
        if changed:
            self._send_stamp(query)
        self._send_staged()

    def _send_stamp(self, query: str) -> None:
        """Publish; if the answer was lost, the server has it already."""
        place = Layout.metadata(self, STAMP)
        data, replaced = place.read_bytes(), etag_of(self.seen.get(place, ""))
        try:
            self.server.put(f"/api/store/metadata/{STAMP}{query}", data, replaced)
        except OutdatedError:
            if self.server.get(f"/channel/metadata/{STAMP}", TIMESTAMP_MAX_BYTES) != data:
                raise
        self.seen[place] = digest(data)

    def _send_staged(self) -> None:
        place = self.top / STAGED
        replaced = etag_of(self.seen.get(place, ""))
        if place.exists() and self._is_new(place):
            self.server.put(f"/api/store/{STAGED}", place.read_bytes(), replaced)
        elif replaced and not place.exists():
            with contextlib.suppress(OutdatedError):  # another change waits now
                self.server.delete(f"/api/store/{STAGED}", replaced)
            self.seen.pop(place)

    def _is_new(self, path: Path) -> bool:
        return self.seen.get(path) != digest(path.read_bytes())

    def _fetched(self, place: Path, address: str, limit: int) -> Path:
        """Return `place`, with what is at the address if anything is."""
        if not place.exists() and (data := self.server.get(address, limit)) is not None:
            if len(data) > limit:
                raise ImageError(f"cannot read {address}: it is larger than {limit} bytes")
            write_atomic(place, data)
            self.seen[place] = digest(data)
        return place


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data`."""
    return hashlib.sha256(data).hexdigest()


def etag_of(sha256: str) -> str:
    """Return the ETag of what the server has; "" if it has nothing."""
    return f'"{sha256}"' if sha256 else ""
