"""`zos zdb serve`: serves keys and values until SIGTERM or Ctrl-C."""

import argparse
from pathlib import Path
from typing import Any

from serving.listen import parse_address
from serving.settings import add_flags, load_settings
from zdb.serve.run import run as run_server
from zdb.serve.settings import ZdbSettings
from zdb.serve.supervisor import Supervisor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings."""
    add_flags(parser, ZdbSettings)


def run(options: argparse.Namespace) -> int:
    """Serve one disk from this process, several from a process for each."""
    flags: dict[str, Any] = dict(vars(options))
    config = flags.pop("config")
    known = {key: value for key, value in flags.items() if key in ZdbSettings.model_fields}
    settings = load_settings(ZdbSettings, known, config)
    if len(settings.disk) < 2:
        run_server(settings)
        return 0

    def serve(number: int, lifeline: int) -> int:
        run_server(settings_of(settings, number), lifeline)
        return 0

    return Supervisor(len(settings.disk), serve, settings.stop_timeout).run()


def settings_of(settings: ZdbSettings, number: int) -> ZdbSettings:
    """Return the settings of one disk: ports count up from that of the first."""
    socket = settings.socket
    return settings.model_copy(
        update={
            "disk": [settings.disk[number]],
            "listen": move_port(settings.listen, number),
            "metrics": move_port(settings.metrics, number),
            "socket": None if socket is None else Path(f"{socket}.{number}"),
        }
    )


def move_port(address: str, number: int) -> str:
    """Return an address with its port moved up; port 0 stays, for it takes a free one."""
    if not address or address.endswith(":0"):
        return address
    host = address.rpartition(":")[0]
    return f"{host}:{parse_address(address)[1] + number}"
