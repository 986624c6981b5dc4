"""What can be booted from this server: the release of each run mode, earlier ones, own kernels."""

from typing import Any

from bootstrap_server.channels.kernels import Kernels
from bootstrap_server.channels.sources import Source, find_channels
from common.errors import ZosError
from common.runmodes import RUN_MODES


def describe_images(source: Source, kernels: Kernels) -> dict[str, Any]:
    """Return the same as /api/images, as a JSON object.

    A run mode without a release that can be booted has None as `release`. `earlier` has what an
    address may name as its fourth part, the newest first.
    """
    live = find_channels(source)
    return {
        "channels": {mode: describe_channel(source, mode, live[mode]) for mode in RUN_MODES},
        "kernels": kernels.names(),
    }


def describe_channel(source: Source, run_mode: str, live: Any) -> dict[str, Any]:
    """Return one run mode as a JSON object."""
    try:
        rows = source.list_earlier(run_mode)
    except ZosError:  # `live` says that it can't boot
        rows = []
    current = live.version if live else ""
    return {
        "release": {"version": live.version, "identity": live.identity} if live else None,
        "since": next((row.at for row in rows if row.release == current), None),
        "earlier": [
            {"version": row.release, "since": row.at} for row in rows if row.release != current
        ],
    }
