"""The command-line options of `zos boot`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from common.debian.architecture import AMD64
from common.errors import UsageError
from common.farms import FARM_MAX
from image.recipe.load import DEFAULT_PROFILE, load_recipe
from qemu.model import Firmware
from serving.listen import MAX_PORT

DEFAULT_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Options:
    """The options, checked."""

    firmware: Firmware
    farm: int
    is_exit: bool
    is_json: bool
    timeout_s: float
    port: int = 0  # of the page; 0 takes a free one
    profile: str = DEFAULT_PROFILE  # of the release
    has_core: bool = True


def parse_options(argv: Sequence[str], prog: str) -> Options:
    """Parse and check the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Build a release, serve it, boot a node from its farm's USB image in QEMU"
        " and wait until its workload answers. Ctrl-C stops everything.",
    )
    parser.add_argument("--firmware", choices=("bios", "uefi"), default="bios")
    parser.add_argument(
        "--profile",
        default=DEFAULT_PROFILE,
        metavar="NAME|FILE",
        help="profile of the release, as of zos image build (%(default)s)",
    )
    parser.add_argument("--farm", type=int, default=1, metavar="N", help="the node's farm (1)")
    parser.add_argument(
        "--no-core",
        action="store_true",
        help="serve no zos-core: the node has neither identity nor API, and takes less memory",
    )
    parser.add_argument("--exit", action="store_true", help="stop once the workload answers")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_S,
        metavar="SECONDS",
        help=f"time for the node to come up ({DEFAULT_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="the page's port (0: any that is free)"
    )
    typed = parser.parse_args(argv)
    if not 1 <= typed.farm <= FARM_MAX:
        raise UsageError(f"cannot boot for farm {typed.farm}: farm numbers are 1 to {FARM_MAX}")
    if not typed.timeout > 0:
        raise UsageError("the time-out must be more than 0 s", hint="--timeout SECONDS")
    if not 0 <= typed.port <= MAX_PORT:
        raise UsageError(f"cannot use port {typed.port}", hint=f"ports are 1 to {MAX_PORT}")
    if (architecture := load_recipe(typed.profile).architecture) != AMD64.name:
        raise UsageError(
            f"cannot boot {typed.profile}: farms' images are for amd64, it is for {architecture}",
            hint=f"zos vm --architecture {architecture}",
        )
    return Options(
        firmware=typed.firmware,
        farm=typed.farm,
        is_exit=typed.exit,
        is_json=typed.json,
        timeout_s=typed.timeout,
        port=typed.port,
        profile=typed.profile,
        has_core=not typed.no_core,
    )
