"""Requirements of tests. In CI a missing one fails the test, elsewhere it skips it."""

import os
import shutil
from typing import NoReturn

import pytest

from qemu.errors import MachineError
from qemu.firmware import find_uefi
from qemu.model import Architecture
from zinit.process import cgroups


def lack(reason: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_tool(*names: str) -> str:
    """Return the path of the first of these programs that is installed."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found:
            return found
    lack(f"{names[0]} is not installed")


def need_root() -> None:
    """Require root."""
    if os.geteuid() != 0:
        lack("this needs root")


def need_fuse() -> None:
    """Require root and /dev/fuse."""
    need_root()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lack("/dev/fuse is needed")


def need_cgroups() -> None:
    """Require writable control groups, version 2."""
    need_root()
    try:
        top = cgroups.find_top()
    except OSError as error:
        lack(f"control groups, version 2, are needed: {error}")
    if not os.access(f"{top}/cgroup.procs", os.W_OK):
        lack(f"{top} can't be written")


def need_uefi(architecture: Architecture = "amd64") -> None:
    """Require UEFI firmware."""
    try:
        find_uefi(architecture=architecture)
    except MachineError as error:
        lack(error.message)
