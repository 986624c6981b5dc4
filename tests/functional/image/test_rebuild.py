"""A stranger with public keys and the lock rebuilds a release, by the script in docs/."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from common.efi.sources import open_key
from image.model import Release
from image.release.build import build_release
from image.release.manifest import describe
from image.release.unified import Signing
from tests.functional.image.conftest import FAST
from tests.helpers.checkout import TOP
from tests.helpers.efi import secure_boot_keys, signer

pytestmark = pytest.mark.timeout(900)  # the first build on a machine fetches packages


@pytest.fixture
def script() -> Any:
    """Return the script as a module."""
    spec = importlib.util.spec_from_file_location("rebuild", TOP / "docs" / "rebuild.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_signed_release_is_the_same_but_for_signatures(
    script: Any,
    release: Release,
    keys: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    signing = Signing(secure_boot=signer(), registers=open_key(str(secure_boot_keys() / "KEK.key")))
    signed = build_release(
        tmp_path / "signed", flist_keys=keys, progress=print, level=FAST, signing=signing
    )
    assert signed.files["zos.efi"] != release.files["zos.efi"]
    capsys.readouterr()
    words = ["--flist-key", str(keys), "--level", str(FAST)]
    assert script.main([str(signed.folder), *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "same      initramfs.zst",
        "same      sbom.spdx.json",
        "same      vmlinuz",
        "same      zos.efi (without its signatures)",
        "same      manifest.json (but for what signers add)",
    ]


def test_a_release_of_other_bytes_is_found(
    script: Any, release: Release, keys: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "release"
    shutil.copytree(release.folder, folder)
    data = (folder / "vmlinuz").read_bytes()
    (folder / "vmlinuz").write_bytes(b"m" + data[1:])
    words = [str(folder), "--flist-key", str(keys), "--level", str(FAST)]
    assert script.main(words) == 1
    assert "DIFFERENT vmlinuz, which is not what its manifest says" in capsys.readouterr().out
    path = folder / "manifest.json"
    value = json.loads(path.read_text())
    value["files"]["vmlinuz"]["sha256"] = describe((folder / "vmlinuz").read_bytes()).sha256
    path.write_text(json.dumps(value))
    assert script.main(words) == 1
    said = capsys.readouterr().out
    assert "DIFFERENT vmlinuz\n" in said
    assert "DIFFERENT manifest.json" in said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"../x": {}}}'])
def test_a_release_that_can_not_be_read(script: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert script.main([str(tmp_path)]) == 2
