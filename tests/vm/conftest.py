"""Fixtures of the virtual machine tests: one hub and one release, made once."""

import sys
from pathlib import Path

import pytest

from common.efi.sources import open_key
from image.model import Release
from image.release.build import build_release
from image.release.unified import Signing
from tests.helpers.efi import secure_boot_keys, signer
from tests.helpers.needs import need_tool
from zero_os.boot.hub import LocalHub, prepare_hub

FAST = 1


def say(text: str) -> None:
    """Show progress in the captured output."""
    print(text, file=sys.stderr)


@pytest.fixture(scope="session")
def hub() -> LocalHub:
    """Return the hub of `zos boot`, with its signed workload."""
    return prepare_hub(say)


@pytest.fixture(scope="session")
def release(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release that accepts flists signed with that hub's key.

    It has its own folder, since a `zos boot` may replace the release in the cache.
    """
    output = tmp_path_factory.mktemp("release")
    return build_release(output, flist_keys=hub.key_file, progress=say, allow_unlocked=True)


@pytest.fixture(scope="session")
def debug_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release with the agent, quickly compressed, and signed with the tests' keys."""
    need_tool("apt-get")
    keys = secure_boot_keys()
    signing = Signing(signer("db"), open_key(str(keys / "KEK.key")))
    output = tmp_path_factory.mktemp("debug-release")
    return build_release(output, progress=say, level=FAST, is_debug=True, signing=signing)


@pytest.fixture(scope="session")
def metal(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release of the profile `metal` with the agent, quickly compressed."""
    need_tool("apt-get")
    output = tmp_path_factory.mktemp("metal")
    return build_release(
        output,
        profile="metal",
        flist_keys=hub.key_file,
        progress=say,
        level=FAST,
        allow_unlocked=True,
        is_debug=True,
    )


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Return a folder for a machine's logs."""
    return tmp_path / "machine"
