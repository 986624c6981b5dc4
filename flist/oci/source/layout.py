"""Images in an OCI image layout: a folder, or an archive that holds one."""

import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO, Protocol

from common.errors import UsageError
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.image import Image, check_stream, printable, select_image
from flist.oci.manifest import MAX_MANIFEST_BYTES, Descriptor, Index, parse_json, parse_manifest
from flist.oci.platform import Platform
from flist.oci.source.reference import parse_reference

REF_NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class Files(Protocol):
    """Files by name, in a folder or an archive."""

    def open(self, name: str) -> BinaryIO:
        """Return a file's content; it can be sought in. Raises `ImageError` if it is not there."""

    def has(self, name: str) -> bool:
        """Whether there is a file called `name`."""


class Folder:
    """The files of a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> BinaryIO:
        """Open a file; a FIFO or a device is refused instead of waited for."""
        path = self.root / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise ImageError(f"cannot read {path}: {error.strerror}") from error
        stream = os.fdopen(handle, "rb")
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            stream.close()
            raise ImageError(f"cannot read {path}: it is not a file")
        return stream

    def has(self, name: str) -> bool:
        """Whether the file is there."""
        return (self.root / name).is_file()


class Layout:
    """The layout's blobs."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def find(self, name: str, platform: Platform | None) -> Image:
        """Return the image called `name` (any, if there is but one)."""
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
        """Open a blob that was checked."""
        digest = descriptor.digest
        return check_stream(self.files.open(f"blobs/{digest.algorithm}/{digest.hex}"), descriptor)

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Read a manifest that was checked."""
        if descriptor.size > MAX_MANIFEST_BYTES:
            raise ImageError(f"the image is refused: its manifest has {descriptor.size} bytes")
        with self.open_blob(descriptor) as stream:
            return stream.read()


def pick(offers: tuple[Descriptor, ...], name: str) -> Descriptor | None:
    """Return the entry called `name`, or None if all entries are one image's platforms."""
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
    shown = ", ".join(sorted({printable(known[0]) for _, known in names if known}))
    wanted = f"no image {name!r}" if name else "several images"
    raise ImageError(
        f"cannot choose an image: there is {wanted}" if name else f"cannot choose: {wanted}",
        hint=f"--image NAME, one of: {shown or 'the digests in index.json'}",
    )


def names_of(offer: Descriptor) -> list[str]:
    """Return all names of an index's entry."""
    return [n for n in map(offer.annotation, REF_NAMES) if n] + [str(offer.digest)]


def is_same(name: str, known: str) -> bool:
    """Whether two names are one, where one says less: `redis:7` and `docker.io/library/redis:7`."""
    full = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    return known.endswith(f"/{full}") or full.endswith(f":{known}") or spell(known) == spell(full)


def spell(name: str) -> str:
    """Return an image's name in full, or as it is if it is none."""
    try:
        return str(parse_reference(name))
    except (UsageError, ImageError):
        return name


def read_small(files: Files, name: str) -> bytes:
    """Return a file that describes others."""
    with files.open(name) as stream:
        data = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(data) > MAX_MANIFEST_BYTES:
        raise ImageError(f"cannot read {name}: it has more than {MAX_MANIFEST_BYTES} bytes")
    return data


def find_in_files(files: Files, name: str, platform: Platform | None) -> Image:
    """Return the image in an OCI layout, or in what `docker save` wrote before it wrote layouts."""
    if files.has("oci-layout") and files.has("index.json"):
        return Layout(files).find(name, platform)
    if files.has("manifest.json"):
        from flist.oci.source.saved import find_saved

        return find_saved(files, name, platform)
    raise ImageError(
        "cannot read the image: there is neither an OCI layout nor a manifest.json",
        hint="`docker save`, `podman save`, `skopeo copy` write what is read here",
    )
