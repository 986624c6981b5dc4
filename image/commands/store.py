"""What the verbs of a release store share: the store, the keys and the reason as arguments."""

import argparse
import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES

if TYPE_CHECKING:
    from common.releases.waves import Waves
    from image.channel.actions import Reason
    from image.channel.place import Place

WAVE = re.compile(r"(100|[0-9]{1,2}(?:\.[0-9]{1,4})?)%@([0-9]{1,6})([smhd]?)", re.ASCII)
UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def add_store(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the release store."""
    parser.add_argument(
        "store", metavar="STORE", help="folder of the release store, or a bootstrap server's URL"
    )
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="token for the server (default: the variable ZOS_TOKEN)",
    )


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Add the store, and the keys that sign a change of it."""
    add_store(parser)
    parser.add_argument(
        "--keys",
        action="append",
        required=True,
        metavar="KEYS",
        help="key file, folder of key files, or PKCS#11 URI; can be repeated",
    )


def add_reason(parser: argparse.ArgumentParser, *, is_required: bool = False) -> None:
    """Add what the history of a channel says of a change."""
    parser.add_argument(
        "--why", default="", required=is_required, metavar="TEXT", help="reason, for the history"
    )
    parser.add_argument("--by", metavar="NAME", help="who does it (default: USER@HOST)")


def add_waves(parser: argparse.ArgumentParser) -> None:
    """Add the waves in which running nodes take a release."""
    parser.add_argument(
        "--wave",
        action="append",
        default=[],
        type=parse_wave,
        metavar="FRACTION@AFTER",
        help="let this part of the farms take it after a time, as 10%%@1d; can be repeated, the "
        "last one is 100%% (default: all at once)",
    )


def parse_wave(text: str) -> tuple[int, int]:
    """Return the parts of a million and the seconds of `10%@1d`."""
    found = WAVE.fullmatch(text)
    if not found:
        raise argparse.ArgumentTypeError(
            f"{text!r:.40} is no wave: PERCENT%@NUMBER and one of s, m, h, d, as 10%@1d"
        )
    percent, number, unit = found.groups()
    return round(float(percent) * 10_000), int(number) * UNITS_S[unit]


def read_waves(args: argparse.Namespace, now: float) -> "Waves | None":
    """Return what `add_waves` has parsed, None for all farms at once."""
    from common.releases.waves import Waves
    from common.tuf.errors import MalformedError
    from image.errors import ImageError

    if not args.wave:
        return None
    try:
        return Waves(int(now), tuple(args.wave))
    except MalformedError as error:
        raise ImageError(f"cannot use these waves: {error}") from error


@contextlib.contextmanager
def read_place(args: argparse.Namespace) -> Iterator["Place"]:
    """Open the store that `add_store` has parsed, with the keys of `add_signing` if there are."""
    from image.channel.place import open_place
    from image.channel.server import read_token

    keys = getattr(args, "keys", ())
    with open_place(args.store, keys, read_token(args.token_file)) as place:
        yield place


def read_reason(args: argparse.Namespace) -> "Reason":
    """Return what `add_reason` has parsed."""
    from image.channel.actions import Reason
    from image.channel.place import describe_user

    return Reason(args.by or describe_user(), time.time(), args.why)


def add_channel(parser: argparse.ArgumentParser, *names: str) -> None:
    """Add arguments that each name a channel."""
    for name in names:
        parser.add_argument(name, choices=tuple(RUN_MODES), help="channel")
