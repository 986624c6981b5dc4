"""Personalised images, made of templates that are loaded once and shared by all requests."""

import hashlib
import threading
from typing import TYPE_CHECKING

from bootstrap_server.images.template import Template, load_templates
from bootstrap_server.script.boot import fill_slot
from serving.content import Pieces

if TYPE_CHECKING:
    from collections.abc import Mapping


class TemplateHolder:
    """Loads the templates at the first call; after a failure, the next call tries again.

    `root` is the SHA-256 of the private root certificate that UEFI's iPXE trusts, or empty.
    """

    def __init__(self, root: bytes = b"") -> None:
        self._root = root
        self._lock = threading.Lock()
        self._templates: Mapping[str, Template] | None = None

    @property
    def is_loaded(self) -> bool:
        """Return whether the next `get` returns at once."""
        return self._templates is not None

    def get(self, name: str = "usb") -> Template:
        """Return a template; blocks while all are loaded or built."""
        with self._lock:
            if self._templates is None:
                self._templates = load_templates(self._root)
            return self._templates[name]


def personalise(template: Template, script: str) -> Pieces:
    """Return the image with `script` in its slots. The template is not copied."""
    slot = template.form(fill_slot(script)) if template.slots else b""
    data, at = memoryview(template.data), 0
    parts: list[memoryview] = []
    offsets: list[int | None] = []
    for start in template.slots:
        parts += [data[at:start], memoryview(slot)]
        offsets += [at, None]
        at = start + len(slot)
    identity = hashlib.sha256(template.digest.encode() + slot).hexdigest()
    return Pieces((*parts, data[at:]), f'"{identity}"', template.memory, (*offsets, at))
