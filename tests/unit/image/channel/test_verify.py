"""`zos image verify`: every fault is named, and the other checks go on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ZosError
from image.channel.actions import refresh
from image.channel.place import Place, note_expiry, open_folder
from image.channel.verify import Report, verify_folder, verify_store
from image.commands.verify import render, verify
from image.errors import ImageError
from image.release.unified import NAME as UKI
from image.release.unified import Signing, sign
from tests.helpers.efi import secure_boot_keys, signer, small_uki
from tests.helpers.releases.store import DAY_S, Maintainer, write_release


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    made = Maintainer.begin(tmp_path)
    made.publish("dev", "1.0")
    made.promote("dev", "prod")
    return made


def faults(report: Report) -> set[tuple[str, str]]:
    return {(check.subject, check.what) for check in report.checks if not check.is_good}


def check(maintainer: Maintainer) -> set[tuple[str, str]]:
    return faults(verify_store(maintainer.layout, maintainer.root, maintainer.now))


def test_a_good_store(maintainer: Maintainer) -> None:
    report = verify_store(maintainer.layout, maintainer.root, maintainer.now)
    assert report.is_good
    told = "".join(map(render, report.checks))
    assert "ok   root: signatures, version and digest: version 1, signed by 2 of 2 keys" in told
    assert "ok   prod: history: 1 entries, holds 1.0, sequence 2\n" in told
    assert "ok   prod: manifest, and fit for this channel: 1.0\n" in told
    assert "ok   1.0/vmlinuz: size and SHA-256" in told


def test_what_has_expired_is_listed_and_the_rest_is_checked(maintainer: Maintainer) -> None:
    maintainer.now += 20 * DAY_S
    assert check(maintainer) == {("timestamp", "still valid"), ("snapshot", "still valid")}


def test_a_damaged_file(maintainer: Maintainer) -> None:
    channel = maintainer.read("prod")
    maintainer.layout.blob(channel.files["vmlinuz"].sha256).write_bytes(b"x")
    assert check(maintainer) == {("1.0/vmlinuz", "size and SHA-256")}


def test_a_history_that_is_gone(maintainer: Maintainer) -> None:
    channel = maintainer.read("prod")
    maintainer.layout.blob((channel.history.hashes or {})["sha256"]).unlink()
    assert check(maintainer) == {("prod", "history")}


def test_a_channel_that_is_signed_by_others(maintainer: Maintainer) -> None:
    place = maintainer.layout.metadata("2.prod.json")
    place.write_bytes(maintainer.layout.metadata("2.dev.json").read_bytes())
    assert check(maintainer) == {("prod", "signatures, version and digest")}


def test_a_store_of_others(maintainer: Maintainer, tmp_path: Path) -> None:
    other = Maintainer.begin(tmp_path / "other")
    report = verify_store(maintainer.layout, other.root, maintainer.now)
    assert faults(report) == {("timestamp", "signatures, version and digest")}
    assert ("1.0/vmlinuz", "size and SHA-256") in {(it.subject, it.what) for it in report.checks}


def test_a_root_that_is_no_root(maintainer: Maintainer) -> None:
    report = verify_store(maintainer.layout, b"{}", maintainer.now)
    assert faults(report) == {("root", "signed by its own keys")}


SBOM: dict[str, Any] = {"spdxVersion": "SPDX-2.3", "packages": [{}, {}]}


@pytest.mark.parametrize(
    ("value", "is_good"),
    [(SBOM, True), ({**SBOM, "spdxVersion": "SPDX-2.2"}, False), ({}, False), ([], False)],
)
def test_the_sbom_of_a_folder(tmp_path: Path, value: Any, is_good: bool) -> None:
    data = json.dumps(value).encode()
    folder = write_release(tmp_path, "1.0")
    manifest = json.loads((folder / "manifest.json").read_text())
    row = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["files"]["sbom.spdx.json"] = row
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "sbom.spdx.json").write_bytes(data)
    expected = set() if is_good else {("sbom.spdx.json", "SPDX 2.3")}
    assert faults(verify_folder(folder)) == expected


def test_a_folder_with_another_file(tmp_path: Path) -> None:
    folder = write_release(tmp_path, "1.0")
    (folder / "vmlinuz").write_bytes(b"x")
    (folder / "initramfs.zst").unlink()
    report = verify_folder(folder)
    assert {subject for subject, _ in faults(report)} == {"vmlinuz", "initramfs.zst"}
    (folder / "manifest.json").write_text("{}")
    assert faults(verify_folder(folder)) == {("manifest.json", "is a manifest")}


def test_the_trusted_root_beside_keys(maintainer: Maintainer, tmp_path: Path) -> None:
    """It may be one of `--keys`, and is no key that signs."""
    keys = [str(path) for path in (tmp_path / "keys").glob("*.pem")]
    place = Place(maintainer.layout, [*keys, str(tmp_path / "keys" / "root.json")])
    place.change("a test", lambda it: refresh(it, (), maintainer.now))
    assert maintainer.open().timestamp.signed.version == 4
    other = Maintainer.begin(tmp_path / "other")
    place = Place(maintainer.layout, [*keys, str(other.top / "keys" / "root.json")])
    with pytest.raises(ZosError, match="signed by 0 of its keys"):
        place.change("a test", lambda it: refresh(it, (), maintainer.now))


def test_an_expired_timestamp_is_told(
    maintainer: Maintainer, capsys: pytest.CaptureFixture[str]
) -> None:
    note_expiry(maintainer.open(), maintainer.now)
    assert capsys.readouterr().err == ""
    note_expiry(maintainer.open(), maintainer.now + 15 * DAY_S)
    assert "the timestamp expired at" in capsys.readouterr().err


def test_what_must_be_given(maintainer: Maintainer, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no trusted root"):
        verify(maintainer.layout.top, None)
    folder = write_release(tmp_path / "release", "1.0")
    with pytest.raises(ImageError, match="not a store with channels"):
        verify(folder, str(tmp_path / "keys"))
    assert verify(folder, None).is_good
    assert verify(maintainer.layout.top, str(tmp_path / "keys")).is_good
    assert verify(maintainer.layout.top, str(tmp_path / "keys" / "root.json")).is_good
    with pytest.raises(ImageError, match="needs the folder of a store"):
        open_folder("https://boot.example")


def test_the_signature_of_the_uki_is_checked_with_a_certificate(tmp_path: Path) -> None:
    folder = write_release(tmp_path, "1.0")
    data = sign(small_uki(), Signing(signer()))
    (folder / UKI).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][UKI] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert verify(folder, None, str(secure_boot_keys() / "db.crt")).is_good
    other = verify(folder, None, str(secure_boot_keys() / "KEK.crt"))
    assert faults(other) == {(UKI, "Secure Boot signature")}
