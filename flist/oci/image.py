"""An image as every source returns it, and how it is found from a manifest or an index."""

import contextlib
import tempfile
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Protocol

from common.text import printable
from flist.oci.config import Config, parse_config
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.manifest import (
    INDEX_TYPES,
    MAX_CONFIG_BYTES,
    MAX_MANIFEST_BYTES,
    Descriptor,
    Manifest,
    parse_manifest,
)
from flist.oci.platform import Platform, choose, own_platform

MAX_DEPTH = 4
"""Levels of indexes that list indexes."""
READ_BYTES = 1 << 20


class Blobs(Protocol):
    """Content by digest."""

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Return the content, checked against digest and size, as a seekable stream."""

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return a manifest, checked against digest and size."""


class Image(NamedTuple):
    """An image that can be converted; the lowest layer comes first."""

    digest: Digest
    config: Config
    layers: Sequence[Descriptor]
    blobs: Blobs


def select_image(
    blobs: Blobs, data: bytes, media_type: str, digest: Digest, wanted: Platform | None
) -> Image:
    """Return the image that a manifest describes; in an index, the one for `wanted`."""
    for _ in range(MAX_DEPTH):
        found = parse_manifest(data, media_type)
        if isinstance(found, Manifest):
            return read_image(blobs, found, digest, wanted)
        offer = choose_offer(found.manifests, wanted or own_platform())
        if offer.size > MAX_MANIFEST_BYTES:
            raise ImageError(f"the image is refused: its manifest has {offer.size} bytes")
        data, media_type, digest = blobs.read_manifest(offer), offer.media_type, offer.digest
        if offer.platform is not None and offer.platform.os and media_type not in INDEX_TYPES:
            wanted = offer.platform
    raise ImageError("the image is refused: its indexes are nested too deeply")


def choose_offer(offers: Sequence[Descriptor], wanted: Platform) -> Descriptor:
    """Return the entry of an index for `wanted`; the `ImageError` if there is none lists the
    others."""
    named = [(offer.platform, offer) for offer in offers if offer.platform is not None]
    known = [(platform, offer) for platform, offer in named if "unknown" not in platform]
    if len(offers) == 1 and not named:
        return offers[0]
    found = choose(known, wanted)
    if found is None:
        names = ", ".join(dict.fromkeys(printable(str(platform)[:200]) for platform, _ in known))
        raise ImageError(
            f"cannot convert the image: there is none for {wanted}",
            hint=f"there is one for: {names or 'no platform'} (--platform OS/ARCHITECTURE)",
        )
    return found


def read_image(blobs: Blobs, manifest: Manifest, digest: Digest, wanted: Platform | None) -> Image:
    """Return the image of one manifest; raises `ImageError` if config and layers do not match."""
    if manifest.config.size > MAX_CONFIG_BYTES:
        raise ImageError(f"the image is refused: its config has {manifest.config.size} bytes")
    with blobs.open_blob(manifest.config) as stream:
        config = parse_config(stream.read())
    if len(config.diff_ids) != len(manifest.layers):
        raise ImageError(
            f"the image is refused: its config names {len(config.diff_ids)} layers,"
            f" its manifest {len(manifest.layers)}"
        )
    if wanted is not None and not config.platform.serves(wanted):
        plain = wanted._replace(variant="")
        if config.platform.variant or not config.platform.serves(plain):
            name = printable(str(config.platform)[:200])
            raise ImageError(f"cannot convert the image: it is for {name}, not for {wanted}")
    return Image(digest, config, manifest.layers, blobs)


def open_layer(blobs: Blobs, layer: Descriptor) -> BinaryIO:
    """Return the content of a layer, also of a foreign one if it is where the image is."""
    try:
        return blobs.open_blob(layer)
    except ImageError as error:
        if not layer.is_foreign:
            raise
        raise ImageError(
            f"cannot convert the image: {layer.digest} is to be fetched from foreign URLs:"
            f" {error.message}",
            hint="such a layer (of Windows images, mostly) is read only where the image is",
        ) from error


def check_stream(stream: BinaryIO, descriptor: Descriptor) -> BinaryIO:
    """Return `stream`, rewound, if it matches `descriptor`; else close it and raise."""
    with contextlib.ExitStack() as on_error:
        on_error.callback(stream.close)
        hasher = descriptor.digest.hasher()
        size = 0
        while piece := stream.read(READ_BYTES):
            hasher.update(piece)
            size += len(piece)
        check_blob(descriptor, size, hasher.hexdigest())
        stream.seek(0)
        on_error.pop_all()
    return stream


def check_blob(descriptor: Descriptor, size: int, digits: str) -> None:
    """Raise `ImageError` unless content has the size and hash of its descriptor."""
    if size != descriptor.size:
        raise ImageError(
            f"the image is refused: {descriptor.digest} has {size} bytes, not {descriptor.size}"
        )
    if digits != descriptor.digest.hex:
        raise ImageError(f"the image is refused: {descriptor.digest} has other content")


def new_spool() -> BinaryIO:
    """Return a temporary file without a name; closing removes it."""
    return tempfile.TemporaryFile(prefix="zos-image-")
