"""Personalised images, made of one template that is loaded once and shared by all requests."""

import hashlib
import threading

from bootstrap_server.images.template import Template, load_template
from bootstrap_server.script.boot import fill_slot
from serving.content import Pieces


class TemplateHolder:
    """Loads the template at the first call; after a failure, the next call tries again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._template: Template | None = None

    @property
    def is_loaded(self) -> bool:
        """Return whether the next `get` returns at once."""
        return self._template is not None

    def get(self) -> Template:
        """Return the template; blocks while it is loaded or built."""
        with self._lock:
            if self._template is None:
                self._template = load_template()
            return self._template


def personalise(template: Template, script: str) -> Pieces:
    """Return the image with `script` in its slot. The template is not copied."""
    slot = fill_slot(script)
    data = memoryview(template.data)
    identity = hashlib.sha256(template.digest.encode() + slot).hexdigest()
    parts = (data[: template.slot], memoryview(slot), data[template.slot + len(slot) :])
    return Pieces(parts, f'"{identity}"')
