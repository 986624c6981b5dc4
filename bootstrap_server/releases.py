"""Finding a release's file: a channel is a folder (or a link to one) below the releases' folder."""

import re
from pathlib import Path

from bootstrap_server.errors import NotThereError
from bootstrap_server.model import RUN_MODES, parse_run_mode
from common.content import FileOpener, OpenFile

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
BOOT_FILES = ("vmlinuz", "initramfs.zst")


def open_release_file(releases: Path, run_mode: str, name: str, opener: FileOpener) -> OpenFile:
    """Open a file of a channel. Raises `NotThereError`, also for what a link leads out to."""
    parse_run_mode(run_mode)
    absent = NotThereError("this channel has no such file")
    if not _NAME.fullmatch(name):
        raise absent
    try:
        root = releases.resolve(strict=True)
        path = (root / run_mode / name).resolve(strict=True)
        if not path.is_relative_to(root):
            raise absent
        return opener.open(path)
    except OSError as error:
        raise absent from error


def find_channels(releases: Path) -> dict[str, bool]:
    """Tell for every run mode whether its channel has what a node needs to boot."""
    return {
        mode: all((releases / mode / name).is_file() for name in BOOT_FILES) for mode in RUN_MODES
    }
