"""Images in a registry, through the OCI distribution API."""

import contextlib
import hashlib
import ssl
from collections.abc import Iterator
from typing import BinaryIO

from common.errors import UsageError
from common.text import printable
from flist.errors import StoreError
from flist.http.origin import BrokenTransferError
from flist.oci.digest import Digest, parse_digest
from flist.oci.errors import ImageError
from flist.oci.image import Image, check_stream, new_spool, select_image
from flist.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_BYTES,
    SCHEMA_1,
    Descriptor,
    refuse_schema_1,
)
from flist.oci.platform import Platform
from flist.oci.source.session import Session, read_limited

ACCEPT = {"Accept": ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))}
BLOB_TRIES = 4


@contextlib.contextmanager
def image_errors() -> Iterator[None]:
    """Raise as `ImageError` what the HTTP client raises."""
    try:
        yield
    except (StoreError, UsageError) as error:
        hint = error.hint
        if hint is None and isinstance(error.__cause__, ssl.SSLError):
            hint = "--insecure, if it is a registry of your own that speaks plain HTTP"
        raise ImageError(printable(error.message), hint=hint) from error


class Registry:
    """The images of one repository."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @image_errors()
    def find(self, platform: Platform | None) -> Image:
        """Return the image that the session's reference names."""
        reference = self.session.reference
        data, media_type, digest = self.get_manifest(reference.target)
        if reference.digest and digest != reference.digest:
            digest = reference.digest  # the same bytes under another algorithm
            if not digest.matches(data):
                raise ImageError(f"the image is refused: {digest} has other content")
        return select_image(self, data, media_type, digest, platform)

    def get_manifest(self, target: str) -> tuple[bytes, str, Digest]:
        """Return the bytes, the type and the digest of the manifest at a tag or digest."""
        with self.session.get(f"manifests/{target}", MAX_MANIFEST_BYTES, ACCEPT) as response:
            self.session.demand(response, (200,), f"{self.session.reference}")
            data = read_limited(response, MAX_MANIFEST_BYTES, "the manifest")
            said = response.header("Docker-Content-Digest")
            media_type = response.header("Content-Type").partition(";")[0].strip()
        if media_type.startswith(SCHEMA_1):
            refuse_schema_1(media_type)
        digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        if said and not parse_digest(said).matches(data):
            raise ImageError("the image is refused: its manifest is not what the registry says")
        return data, media_type, digest

    @image_errors()
    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return the manifest that an index names."""
        data, _, _ = self.get_manifest(str(descriptor.digest))
        if len(data) != descriptor.size or not descriptor.digest.matches(data):
            raise ImageError(f"the image is refused: {descriptor.digest} has other content")
        return data

    @image_errors()
    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Fetch a blob into a temporary file; a transfer that breaks off is resumed."""
        spool = new_spool()
        with contextlib.ExitStack() as on_error:
            on_error.callback(spool.close)
            for tries_left in reversed(range(BLOB_TRIES)):
                try:
                    self.fetch_rest(descriptor, spool)
                except BrokenTransferError:
                    if not tries_left:
                        raise
                else:
                    break
            spool.seek(0)
            on_error.pop_all()
        return check_stream(spool, descriptor)

    def fetch_rest(self, descriptor: Descriptor, spool: BinaryIO) -> None:
        """Fetch the part of a blob that is not in `spool`, or all of it if the registry does not
        give parts."""
        done = spool.tell()
        headers = {"Range": f"bytes={done}-"} if done else {}
        digest = descriptor.digest
        with self.session.get(f"blobs/{digest}", descriptor.size, headers) as response:
            self.session.demand(response, (200, 206) if done else (200,), str(digest))
            if response.status == 206:
                if not response.header("Content-Range").startswith(f"bytes {done}-"):
                    raise ImageError(f"cannot fetch {digest}: a wrong range came")
            else:
                done = 0
            spool.seek(done)
            spool.truncate()
            for piece in response.pieces():
                done += len(piece)
                if done > descriptor.size:
                    raise ImageError(
                        f"the image is refused: {digest} has more bytes than {descriptor.size}"
                    )
                spool.write(piece)
