"""Manifests and indexes of images. They are not trusted: their size is limited, and every field
that is used is checked.

Source: OCI image specification 1.1; Docker's "Image Manifest Version 2, Schema 2".
"""

import json
from typing import Any, NamedTuple

from flist.oci.digest import Digest, parse_digest
from flist.oci.errors import ImageError
from flist.oci.platform import Platform

OCI = "application/vnd.oci.image"
DOCKER = "application/vnd.docker"
INDEX_TYPES = frozenset((f"{OCI}.index.v1+json", f"{DOCKER}.distribution.manifest.list.v2+json"))
MANIFEST_TYPES = frozenset((f"{OCI}.manifest.v1+json", f"{DOCKER}.distribution.manifest.v2+json"))
CONFIG_TYPES = frozenset((f"{OCI}.config.v1+json", f"{DOCKER}.container.image.v1+json"))
LAYER_TYPES = frozenset(
    (
        f"{OCI}.layer.v1.tar",
        f"{OCI}.layer.v1.tar+gzip",
        f"{OCI}.layer.v1.tar+zstd",
        f"{OCI}.layer.v1.tar+xz",  # these two are in no standard, but some tools write them
        f"{OCI}.layer.v1.tar+bzip2",
        *(f"{OCI}.layer.nondistributable.v1.tar{end}" for end in ("", "+gzip", "+zstd")),
        f"{DOCKER}.image.rootfs.diff.tar",
        f"{DOCKER}.image.rootfs.diff.tar.gzip",
        f"{DOCKER}.image.rootfs.diff.tar.zstd",
        f"{DOCKER}.image.rootfs.diff.tar.xz",
        f"{DOCKER}.image.rootfs.diff.tar.bzip2",
        f"{DOCKER}.image.rootfs.foreign.diff.tar",
        f"{DOCKER}.image.rootfs.foreign.diff.tar.gzip",
    )
)
SCHEMA_1 = f"{DOCKER}.distribution.manifest.v1"
MAX_MANIFEST_BYTES = 4 << 20
"""The size that the distribution specification requires registries to accept."""
MAX_CONFIG_BYTES = 8 << 20
MAX_LAYERS = 1000


class Descriptor(NamedTuple):
    """Describes content: its media type, digest and size in bytes. Foreign content may be left out
    of a registry or a layout; the URLs that it names instead are never asked."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    is_foreign: bool = False

    def annotation(self, key: str) -> str:
        """Return one annotation, empty if there is none."""
        return dict(self.annotations).get(key, "")


class Manifest(NamedTuple):
    """An image for one platform; the lowest layer comes first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(NamedTuple):
    """Images for several platforms, or further indexes."""

    manifests: tuple[Descriptor, ...]


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Return a JSON object; raises `ImageError` for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"cannot read {what}: it is not JSON") from error
    if not isinstance(value, dict):
        raise ImageError(f"cannot read {what}: it is not a JSON object")
    return value


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """Return the manifest or index in `data`; `media_type` is from its descriptor or the server."""
    value = parse_json(data, "the manifest")
    if value.get("schemaVersion") == 1 or "fsLayers" in value:
        refuse_schema_1(media_type)
    own_type = value.get("mediaType")
    if own_type is not None and str(own_type) not in INDEX_TYPES | MANIFEST_TYPES:
        raise ImageError(f"cannot read the manifest: its type is {str(own_type)[:120]!r}")
    kind = own_type or media_type
    if ("manifests" in value) == ("layers" in value):
        raise ImageError("cannot read the manifest: it must have either layers or manifests")
    is_index = "manifests" in value
    if kind in (MANIFEST_TYPES if is_index else INDEX_TYPES):
        raise ImageError("cannot read the manifest: its type and its content do not agree")
    return parse_index(value) if is_index else parse_image(value)


def refuse_schema_1(media_type: str) -> None:
    """Raise `ImageError` for Docker's schema 1, with a hint how to convert the image.

    Such a manifest has neither the sizes of its layers nor a configuration, and its digest is not
    the hash of its bytes. Docker has not written it since 2016.
    """
    kind = media_type if media_type.startswith(SCHEMA_1) else f"{SCHEMA_1}+json"
    raise ImageError(
        f"cannot convert the image: its manifest is of the type {kind[:120]!r}"
        " (Docker's schema 1, withdrawn)",
        hint="push it again with Docker 1.10 or later, or convert it:"
        " skopeo copy --format v2s2 docker://OLD docker://NEW",
    )


def parse_index(value: dict[str, Any]) -> Index:
    """Return the index in `value`."""
    return Index(tuple(parse_descriptor(item) for item in read_list(value, "manifests")))


def parse_image(value: dict[str, Any]) -> Manifest:
    """Return the image manifest in `value`; raises `ImageError` if it is of another artifact."""
    config = parse_descriptor(value.get("config"))
    layers = tuple(parse_descriptor(item) for item in read_list(value, "layers"))
    if config.media_type not in CONFIG_TYPES:
        raise ImageError(
            f"cannot convert the image: it is no container image (its config's type is "
            f"{config.media_type[:120]!r})"
        )
    if len(layers) > MAX_LAYERS:
        raise ImageError(f"cannot convert the image: it has {len(layers)} layers")
    for layer in layers:
        if layer.media_type not in LAYER_TYPES:
            raise ImageError(
                f"cannot convert the image: layer {layer.digest} has the type "
                f"{layer.media_type[:120]!r}"
            )
    return Manifest(config, layers)


def parse_descriptor(value: object) -> Descriptor:
    """Return the checked descriptor in `value`."""
    if not isinstance(value, dict):
        raise ImageError("cannot read the manifest: a descriptor is not an object")
    media_type, size = value.get("mediaType"), value.get("size")
    if not isinstance(media_type, str):
        raise ImageError("cannot read the manifest: a descriptor has no type")
    if type(size) is not int or not 0 <= size < 2**63:
        raise ImageError("cannot read the manifest: a descriptor has no proper size")
    digest = parse_digest(value.get("digest"))
    words = (".foreign.", ".nondistributable.")
    is_foreign = bool(value.get("urls")) or any(word in media_type for word in words)
    notes = value.get("annotations")
    pairs = notes.items() if isinstance(notes, dict) else ()
    kept = tuple((k, v) for k, v in pairs if isinstance(k, str) and isinstance(v, str))
    return Descriptor(
        media_type, digest, size, parse_offer(value.get("platform")), kept, is_foreign
    )


def parse_offer(value: object) -> Platform | None:
    """Return the platform of an entry of an index, if it has one."""
    if not isinstance(value, dict):
        return None
    words = [value.get(key) or "" for key in ("os", "architecture", "variant")]
    if not all(isinstance(word, str) for word in words):
        raise ImageError("cannot read the manifest: a platform is not text")
    return Platform(*words)


def read_list(value: dict[str, Any], key: str) -> list[object]:
    """Return the list at `key`."""
    found = value.get(key)
    if not isinstance(found, list):
        raise ImageError(f"cannot read the manifest: {key} is not a list")
    return found
