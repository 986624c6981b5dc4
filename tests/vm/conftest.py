"""Fixtures of the virtual machine tests: hubs, releases and UEFI variables, made once."""

import sys
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from common.debian.fetch import fetch_newest
from common.efi.sources import open_key
from flist.pack.pack import pack
from flist.store.routed import parse_route
from image.efi.enroll import write_ovmf_variables
from image.model import Release
from image.release.build import build_release
from image.release.unified import Signing
from qemu.firmware import find_uefi
from tests.helpers.efi import secure_boot_keys, signer
from tests.helpers.needs import need_tool, need_uefi
from zero_os.boot.core import add_core
from zero_os.boot.hub import NAME, LocalHub, make_signing_key, prepare_hub, sign_flist_file

FAST = 1
ARM_PORT = 8000
ARM_ANSWER = b"from a flist"
# busybox is a program for arm64, linked statically.
ARM_SERVICE = f"exec: /usr/bin/busybox httpd -f -p {ARM_PORT} -h /srv\n"


def say(text: str) -> None:
    """Show progress in the captured output."""
    print(text, file=sys.stderr)


@pytest.fixture(scope="session")
def hub() -> LocalHub:
    """Return the hub of `zos boot`, with its signed workload."""
    return prepare_hub(say)


@pytest.fixture(scope="session")
def core_hub(hub: LocalHub, tmp_path_factory: pytest.TempPathFactory) -> LocalHub:
    """Return a hub of its own that has zos-core beside the workload of `hub`."""
    return add_core(prepare_hub(say, tmp_path_factory.mktemp("core-hub") / "hub"), say)


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


@pytest.fixture(scope="session")
def arm_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a hub whose flist is a web server for arm64."""
    top = tmp_path_factory.mktemp("arm-hub")
    root = top / "root"
    for name, text in (
        ("etc/zinit/web.yaml", ARM_SERVICE.encode()),
        ("srv/index.html", ARM_ANSWER),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text)
    _, archive = fetch_newest(["busybox-static"], architecture="arm64", progress=print)
    with open_archive(archive) as packages:
        packages.unpack(["usr/bin/busybox"], root)
    folder = top / "hub"
    flist = folder / "flists" / f"{NAME}.fl"
    flist.parent.mkdir(parents=True)
    (folder / "blocks").mkdir()
    pack(root, flist, [parse_route(f"dir://{folder / 'blocks'}")])
    sign_flist_file(flist, make_signing_key())
    return folder


@pytest.fixture(scope="session")
def arm_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release for arm64 with the agent."""
    return build_release(
        tmp_path_factory.mktemp("arm-release"),
        profile="metal-arm64",
        flist_keys=make_signing_key().with_suffix(".pub"),
        progress=print,
        level=FAST,
        allow_unlocked=True,
        is_debug=True,
    )


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return OVMF's variables with the tests' keys enrolled."""
    need_uefi()
    path = tmp_path_factory.mktemp("variables") / "vars.fd"
    write_ovmf_variables(find_uefi(is_secure=True).variables, path, secure_boot_keys())
    return path


@pytest.fixture
def artefacts(tmp_path: Path) -> Path:
    """Return a folder for a machine's logs."""
    return tmp_path / "machine"
