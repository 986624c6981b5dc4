"""The older form of `docker save`: `manifest.json`, a configuration and layers, by file name.

Such an archive has no digests except those of the uncompressed layers (`diff_ids`), so these are
checked.
"""

import contextlib
import hashlib
import json
from typing import Any, BinaryIO

from common.text import printable
from flist.archive.inflate import MAGIC_BYTES, is_compressed
from flist.oci.config import parse_config
from flist.oci.digest import Digest
from flist.oci.errors import ImageError
from flist.oci.image import Image, check_stream
from flist.oci.manifest import DOCKER, MAX_LAYERS, Descriptor
from flist.oci.platform import Platform
from flist.oci.source.files import Files, read_small
from flist.oci.source.reference import is_same

LAYER_TYPE = f"{DOCKER}.image.rootfs.diff.tar"


class Saved:
    """The layers of one image in an archive; `names` are their file names."""

    def __init__(self, files: Files, names: dict[Digest, str]) -> None:
        self.files = files
        self.names = names

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a layer. A plain one is checked here, a compressed one while it is decompressed."""
        stream = self.files.open(self.names[descriptor.digest])
        with contextlib.ExitStack() as on_error:
            on_error.callback(stream.close)
            start = stream.read(MAGIC_BYTES)
            size = stream.seek(0, 2)
            stream.seek(0)
            on_error.pop_all()
        if is_compressed(start):
            return stream
        return check_stream(stream, descriptor._replace(size=size))

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Raise `ImageError`: such an archive has no index."""
        raise ImageError(f"cannot read {descriptor.digest}: the archive has no manifests")


def find_saved(files: Files, name: str, platform: Platform | None) -> Image:
    """Return the image called `name` (any, if there is only one)."""
    chosen = pick_saved(read_saved(files), name)
    config_name, layers = chosen.get("Config"), chosen.get("Layers")
    if not isinstance(config_name, str) or not isinstance(layers, list):
        raise ImageError("cannot read the archive: manifest.json names no config or no layers")
    if len(layers) > MAX_LAYERS or not all(isinstance(layer, str) for layer in layers):
        raise ImageError("cannot read the archive: its layers are no list of names")
    data = read_small(files, config_name)
    digest = Digest("sha256", hashlib.sha256(data).hexdigest())
    said = config_name.rpartition("/")[2].removesuffix(".json").removeprefix("sha256:")
    if len(said) == 64 and said != digest.hex:
        raise ImageError(f"the image is refused: {printable(config_name[:200])} has other content")
    config = parse_config(data)
    if len(config.diff_ids) != len(layers):
        raise ImageError("the image is refused: its config and its list of layers do not agree")
    if platform is not None and not config.platform.serves(platform):
        raise ImageError(
            f"cannot convert the image: it is for {printable(str(config.platform)[:200])},"
            f" not for {platform}"
        )
    found = [Descriptor(LAYER_TYPE, diff_id, 0) for diff_id in config.diff_ids]
    names = dict(zip(config.diff_ids, layers, strict=True))
    return Image(digest, config, found, Saved(files, names))


def read_saved(files: Files) -> list[dict[str, Any]]:
    """Return the images that manifest.json lists."""
    try:
        value = json.loads(read_small(files, "manifest.json"))
    except (ValueError, RecursionError) as error:
        raise ImageError("cannot read the archive: manifest.json is not JSON") from error
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ImageError("cannot read the archive: manifest.json is not a list of images")
    return value


def pick_saved(images: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the image with the tag `name`."""
    tags = [
        [tag for tag in image.get("RepoTags") or [] if isinstance(tag, str)] for image in images
    ]
    pairs = list(zip(images, tags, strict=True))
    found = [image for image, known in pairs if not name or any(is_same(name, k) for k in known)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(printable(tag[:200]) for known in tags for tag in known)
    raise ImageError(
        f"cannot choose: the archive holds {len(found)} images" + (f" {name!r}" if name else ""),
        hint=f"--image NAME, one of: {shown or 'none has a name'}",
    )
