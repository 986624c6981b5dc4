"""`zos node key` and `zos node certificate`: the farm's key and callers' certificates."""

import datetime
import sys
from pathlib import Path

from common.files import write_atomic
from core.certificates.farmkey import make_farm_key, public_of, read_farm_key, show_public
from core.certificates.issue import issue
from core.certificates.names import Holder
from core.remote.known import FOLDER_MODE, MODE


def make_key(path: Path) -> int:
    """Make the farm's key if there is none; print its public part as images have it."""
    key = make_farm_key(path)
    sys.stdout.write(f"{show_public(public_of(key))}\n")
    return 0


def make_certificate(farm_key: Path, holder: Holder, days: int, output: Path) -> int:
    """Write a certificate with its private key to `output`."""
    now = datetime.datetime.now(datetime.UTC)
    key, certificate = issue(read_farm_key(farm_key), holder, days, now)
    output.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    write_atomic(output, (key + certificate).encode(), MODE)
    until = now + datetime.timedelta(days=days)
    sys.stderr.write(f"{output}: {holder.uri}, valid until {until:%Y-%m-%d %H:%M} UTC\n")
    return 0
