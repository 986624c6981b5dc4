"""What the virtual machine tests share: one release and one hub, made once."""

import sys
from pathlib import Path

import pytest

from common.paths import cache_dir
from image.build import build_release
from image.model import Release
from zero_os.boot.hub import LocalHub, prepare_hub


def say(text: str) -> None:
    """Show what takes long, in the captured output."""
    print(text, file=sys.stderr)


@pytest.fixture(scope="session")
def hub() -> LocalHub:
    """Return the hub of `zos boot`, with its signed workload."""
    return prepare_hub(say)


@pytest.fixture(scope="session")
def release(hub: LocalHub) -> Release:
    """Return a release that accepts what that hub's key signed."""
    output = cache_dir("boot", "releases") / "dev"
    return build_release(output, flist_keys=hub.key_file, progress=say)


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Return a folder for a machine's console."""
    return tmp_path / "machine"
