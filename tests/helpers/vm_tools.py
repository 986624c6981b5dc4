"""What virtual machine tests need on the host; in CI a lack is a failure, elsewhere a skip."""

import os
import shutil

import pytest

from qemu.errors import MachineError
from qemu.firmware import find_uefi


def lack(reason: str) -> None:
    """Fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_tool(name: str) -> None:
    """Skip (or fail) without the program `name`."""
    if shutil.which(name) is None:
        lack(f"{name} is not installed")


def need_uefi() -> None:
    """Skip (or fail) without UEFI firmware."""
    try:
        find_uefi()
    except MachineError as error:
        lack(error.message)
