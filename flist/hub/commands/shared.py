"""What the commands share: the hub they work on."""

import contextlib
from collections.abc import Iterator

from common.errors import UsageError
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.opening import has_state


@contextlib.contextmanager
def opened(settings: HubSettings) -> Iterator[Hub]:
    """Give the hub of the settings; raises `UsageError` for a plain folder."""
    if not has_state(settings.root, settings.database):
        raise UsageError(
            f"cannot use {settings.root}: it is no hub with accounts",
            hint=f"`zos hub init {settings.root}` makes one of it",
        )
    hub = open_hub(settings)
    try:
        yield hub
    finally:
        hub.close()
