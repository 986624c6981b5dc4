"""What every run mode boots, and older releases to choose."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import HTMLResponse

from bootstrap_server.pages import render_page
from bootstrap_server.settings import Settings
from common.runmodes import RUN_MODES


def show_releases(settings: Settings, images: Mapping[str, Any]) -> HTMLResponse:
    """Return the page of what /api/images tells."""
    return render_page(
        "images.html",
        here="images",
        root=settings.root_path,
        modes=RUN_MODES,
        channels=images["channels"],
        kernels=images["kernels"],
    )
