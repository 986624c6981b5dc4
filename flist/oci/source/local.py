"""Images on this machine: an OCI image layout, or the older form of `docker save`."""

from flist.oci.errors import ImageError
from flist.oci.image import Image
from flist.oci.platform import Platform
from flist.oci.source.files import Files
from flist.oci.source.layout import Layout
from flist.oci.source.saved import find_saved


def find_local(files: Files, name: str, platform: Platform | None) -> Image:
    """Return the image called `name` in `files` (any, if there is only one)."""
    if files.has("oci-layout") and files.has("index.json"):
        return Layout(files).find(name, platform)
    if files.has("manifest.json"):
        return find_saved(files, name, platform)
    raise ImageError(
        "cannot read the image: there is neither an OCI layout nor a manifest.json",
        hint="`docker save`, `podman save` or `skopeo copy` write an image that can be read",
    )
