"""The template images, which are built once for each set of inputs.

A template's identity is a digest of everything that goes into the build, so the cache never holds
a stale one, and two machines build the same bytes. What is personal is in slots: ranges of
`SLOT_BYTES` that are replaced while an image is sent.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap_server.errors import TemplateError
from bootstrap_server.images import builders, inputs
from bootstrap_server.images.efi import encode_options
from bootstrap_server.images.workshop import EPOCH_S, Workshop, open_workshop
from bootstrap_server.script.boot import SLOT_BYTES
from common.locks import hold_lock
from common.paths import cache_dir
from common.sealed import read_sealed, write_sealed
from serving.content import MemoryFile

LOCK_DEADLINE_S = 300
LAYOUT = 5  # raise it when a builder changes


Form = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a template is built, how often its slot stands in it, and the form of a slot in there."""

    build: Callable[[Workshop], bytes]
    slots: int = 1
    form: Form = bytes


def take(name: str) -> Recipe:
    """Return the recipe of a package's file as it is."""
    return Recipe(lambda shop: shop.read(name), 0)


RECIPES: Mapping[str, Recipe] = {
    "usb": Recipe(builders.build_usb),
    "iso": Recipe(builders.build_iso, 2),
    "krn": Recipe(builders.build_krn),
    "uefi": Recipe(builders.build_efi(inputs.IPXE_UEFI), form=encode_options),
    "uefi-arm64": Recipe(builders.build_efi(inputs.IPXE_ARM64), form=encode_options),
    "snponly": Recipe(builders.build_efi(inputs.SNPONLY), form=encode_options),
    "krn-generic": take(inputs.IPXE_BIOS),
    "uefi-generic": take(inputs.IPXE_UEFI),
}


@dataclass(frozen=True, slots=True)
class Template:
    """An image in memory: `digest` is the SHA-256 of its bytes, `slots` the script's offsets.

    `memory` has the bytes once more, for the kernel to send.
    """

    data: bytes
    digest: str
    slots: tuple[int, ...]
    form: Form = bytes
    memory: MemoryFile | None = None


def load_templates(root: bytes = b"") -> dict[str, Template]:
    """Return this machine's templates, building those that the cache does not have undamaged.

    `root` is the SHA-256 of the certificate that UEFI's iPXE trusts instead of its own authority's.
    """
    found = inputs.find_inputs()
    data = read_templates(found.digests, root)
    if None in data.values():
        guard = cache_dir("bootstrap") / "templates.lock"
        with hold_lock(guard, "making the template images", LOCK_DEADLINE_S):
            data = read_templates(found.digests, root)
            missing = [name for name, content in data.items() if content is None]
            for name, content in build_templates(found, missing, root).items():
                write_sealed(place_of(name, found.digests, root), content)
                data[name] = content
    return {name: open_template(name, content or b"") for name, content in data.items()}


def read_templates(digests: Mapping[str, str], root: bytes) -> dict[str, bytes | None]:
    """Return what the cache has of every template."""
    return {name: read_sealed(place_of(name, digests, root)) for name in RECIPES}


def place_of(name: str, digests: Mapping[str, str], root: bytes) -> Path:
    """Return where the cache keeps a template."""
    return cache_dir("bootstrap") / f"sealed-{identify(name, digests, root)[:32]}.img"


def identify(name: str, digests: Mapping[str, str], root: bytes = b"") -> str:
    """Return the identity of a template that is built from files with these digests."""
    texts = [builders.BLANK_SCRIPT, builders.SYSLINUX_CFG]
    parts = [LAYOUT, name, EPOCH_S, SLOT_BYTES, *texts, root.hex(), dict(digests)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def build_templates(
    found: inputs.Inputs, names: Iterable[str] = RECIPES, root: bytes = b""
) -> dict[str, bytes]:
    """Build templates from archives of packages; the same ones give the same bytes."""
    with open_workshop(found.archives, root) as shop:
        return {name: RECIPES[name].build(shop) for name in names}


def open_template(name: str, data: bytes) -> Template:
    """Find the slots in a template's bytes. Raises `TemplateError` if their number is wrong."""
    recipe = RECIPES[name]
    slots = []
    mark = recipe.form(builders.blank())
    at = data.find(mark)
    while at >= 0:
        slots.append(at)
        at = data.find(mark, at + len(mark))
    if len(slots) != recipe.slots:
        raise TemplateError(
            f"the template {name} has {len(slots)} slots in one piece, not {recipe.slots}"
        )
    digest = hashlib.sha256(data).hexdigest()
    return Template(data, digest, tuple(slots), recipe.form, MemoryFile(data))
