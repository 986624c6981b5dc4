"""Images in an OCI image layout, in a directory or an archive."""

import hashlib
from typing import BinaryIO

from common.text import printable
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.image import Image, check_stream, select_image
from flist.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, Index, parse_json, parse_manifest
from flist.oci.platform import Platform
from flist.oci.source.files import Files, read_small
from flist.oci.source.reference import is_same

REF_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class Layout:
    """An image layout and its blobs."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def find(self, name: str, platform: Platform | None) -> Image:
        """Return the image called `name` (any, if there is only one)."""
        value = parse_json(read_small(self.files, "oci-layout"), "oci-layout")
        if str(value.get("imageLayoutVersion", "")).partition(".")[0] != "1":
            raise ImageError("cannot read the layout: it has another version than 1")
        data = read_small(self.files, "index.json")
        found = parse_manifest(data)
        if not isinstance(found, Index) or not found.manifests:
            raise ImageError("cannot read the layout: its index.json lists no image")
        chosen = pick(found.manifests, name)
        if chosen is None:  # one image for several platforms
            digest = Digest("sha256", hashlib.sha256(data).hexdigest())
            return select_image(self, data, "", digest, platform)
        inner = self.read_manifest(chosen)
        return select_image(self, inner, chosen.media_type, chosen.digest, platform)

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Return a checked blob."""
        digest = descriptor.digest
        return check_stream(self.files.open(f"blobs/{digest.algorithm}/{digest.hex}"), descriptor)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return a checked manifest."""
        if descriptor.size > MAX_MANIFEST_BYTES:
            raise ImageError(f"the image is refused: its manifest has {descriptor.size} bytes")
        with self.open_blob(descriptor) as stream:
            return stream.read()


def pick(offers: tuple[Descriptor, ...], name: str) -> Descriptor | None:
    """Return the entry called `name`, or None if the entries are the platforms of one image."""
    names = [(offer, names_of(offer)) for offer in offers]
    if name:
        found = [offer for offer, known in names if name in known]
        if not found:
            found = [offer for offer, known in names if any(is_same(name, k) for k in known)]
        if len(found) == 1:
            return found[0]
    else:
        if len(offers) == 1:
            return offers[0]
        found = list(offers)
    platforms = {offer.platform for offer in found}
    if len(found) == len(offers) and len(platforms) == len(found) and None not in platforms:
        return None
    shown = ", ".join(sorted({printable(known[0][:200]) for _, known in names if known}))
    wanted = f"no image {name!r}" if name else "several images"
    raise ImageError(
        f"cannot choose an image: there is {wanted}" if name else f"cannot choose: {wanted}",
        hint=f"--image NAME, one of: {shown or 'the digests in index.json'}",
    )


def names_of(offer: Descriptor) -> list[str]:
    """Return all names of an entry of an index."""
    return [n for n in map(offer.annotation, REF_NAMES) if n] + [str(offer.digest)]
