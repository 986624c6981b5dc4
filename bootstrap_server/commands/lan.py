"""`zos bootstrap lan`: network boot for the machines of one LAN."""

import argparse
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import talk
from bootstrap_server.lan.settings import LanSettings
from serving.settings import add_flags, load_settings

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "lan", help="let the machines of a LAN boot from the network (DHCP, TFTP, HTTP Boot)"
    )
    add_flags(parser, LanSettings)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Read the settings and serve."""
    from bootstrap_server.lan.serve import serve

    flags = {key: value for key, value in vars(args).items() if key not in ("run", "verb")}
    config = flags.pop("config")
    return serve(load_settings(LanSettings, flags, config), talk)
