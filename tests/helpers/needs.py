"""What tests need of the machine. In CI a lack is a failure, elsewhere a skip that says why."""

import os
import shutil
from typing import NoReturn

import pytest

from qemu.errors import MachineError
from qemu.firmware import find_uefi
from zinit.process import cgroups


def lack(reason: str) -> NoReturn:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_tool(*names: str) -> str:
    """Return the path of the first of these programs that is there."""
    for name in names:
        found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if found:
            return found
    lack(f"{names[0]} is not installed")


def need_root() -> None:
    """Demand to be root."""
    if os.geteuid() != 0:
        lack("this needs root")


def need_fuse() -> None:
    """Demand what our mounts need."""
    need_root()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        lack("/dev/fuse is needed")


def need_cgroups() -> None:
    """Demand control groups, version 2, that we may change."""
    need_root()
    try:
        top = cgroups.find_top()
    except OSError as error:
        lack(f"control groups, version 2, are needed: {error}")
    if not os.access(f"{top}/cgroup.procs", os.W_OK):
        lack(f"{top} can't be written")


def need_uefi() -> None:
    """Demand UEFI firmware."""
    try:
        find_uefi()
    except MachineError as error:
        lack(error.message)
