"""What every run mode boots, and older releases to choose."""

from starlette.responses import HTMLResponse

from bootstrap_server.pages import render_page
from bootstrap_server.pages.farmer import Channels
from bootstrap_server.settings import Settings
from common.runmodes import RUN_MODES


def show_releases(settings: Settings, channels: Channels) -> HTMLResponse:
    """Return the page of the releases."""
    return render_page(
        "images.html",
        here="images",
        root=settings.root_path,
        modes=RUN_MODES,
        channels=channels,
    )
