"""An image as what is sent: its content, and what stands beside it, its checksum and signature."""

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

from bootstrap_server.errors import NotThereError
from bootstrap_server.images.kinds import Kind
from bootstrap_server.images.patched import Patched
from bootstrap_server.images.personalise import TemplateHolder, personalise
from serving.content import Content, OpenFile, Pieces

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DIGESTS_MAX = 4096
CHECKSUM, SIGNATURE = ".sha256", ".sig"
BESIDE = (CHECKSUM, SIGNATURE)
SIGNED = "zero-os image sha256 {}\n"
"""What is signed of an image: this line with its SHA-256 in hex, in ASCII."""


def make_content(data: bytes) -> Pieces:
    """Return bytes as what is sent."""
    return Pieces((memoryview(data),), f'"{hashlib.sha256(data).hexdigest()}"')


def make_image(templates: TemplateHolder, kind: Kind, script: str) -> Pieces:
    """Return an image of a kind that is made of a template, or the script itself."""
    if kind.source == "script":
        return make_content(script.encode("ascii"))
    return personalise(templates.get(kind.source), script)


class Digests:
    """The SHA-256 of contents by their ETags; the oldest are forgotten. Threads may share one."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, str] = OrderedDict()

    def of(self, content: Content) -> str:
        """Return the SHA-256 of a content in hex, which takes a while the first time."""
        known = self._known.get(content.etag)
        if known is None:
            known = hash_content(content)
            self._known[content.etag] = known
            if len(self._known) > DIGESTS_MAX:
                self._known.popitem(last=False)
        return known


def hash_content(content: Content) -> str:
    """Return the SHA-256 of a content in hex."""
    if isinstance(content, Pieces):
        state = hashlib.sha256()
        for part in content.parts:
            state.update(part)
        return state.hexdigest()
    if isinstance(content, Patched):
        return content.sha256()
    if isinstance(content, OpenFile):
        return content.etag.strip('"')  # of a release's file, which is its SHA-256
    raise TypeError(f"a {type(content).__name__} can't be hashed")


def render_checksum(digest: str, name: str) -> bytes:
    """Return the line that `sha256sum --check` reads."""
    return f"{digest}  {name}\n".encode()


def sign_digest(key: "Ed25519PrivateKey | None", digest: str) -> bytes:
    """Return the raw Ed25519 signature of an image (64 bytes). Raises `NotThereError`."""
    if key is None:
        raise NotThereError(
            "this server signs no images: it has no key for them",
            hint="its operator can set one: --image-key FILE",
        )
    return key.sign(SIGNED.format(digest).encode())
