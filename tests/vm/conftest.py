"""What the virtual machine tests share: one release and one hub, made once."""

import sys
from pathlib import Path

import pytest

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
def release(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release that accepts what that hub's key signed.

    Its folder is no other's: another checkout, or a `zos boot`, may put its own in the cache's.
    """
    output = tmp_path_factory.mktemp("release")
    return build_release(output, flist_keys=hub.key_file, progress=say)


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Return a folder for a machine's console."""
    return tmp_path / "machine"
