"""A boot against a manifest."""

import json
from pathlib import Path

import pytest

from common.efi.authenticode import sign_image
from common.efi.sources import open_key
from image.cli import main
from image.efi.uki import read_sections, replace_sections
from image.errors import FormatError, ImageError
from image.model import Release
from image.recipe.recipe import Recipe
from image.release.attest import read_forecast, read_log
from image.release.manifest import NAME, encode_manifest
from image.release.unified import (
    UNSIGNED,
    Contents,
    Signing,
    describe_uki,
    make_uki,
    personalise,
    strip,
)
from tests.helpers.efi import secure_boot_keys, signer, small_sections, small_uki
from tests.helpers.pe import make_kernel, make_stub
from tests.helpers.tpm.eventlog import boot_of


def run(*words: str | Path) -> int:
    return main([*map(str, words)], "zos image")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Return the folder of a release that has only a manifest."""
    about = describe_uki(small_uki(), UNSIGNED)
    made = Release(tmp_path, "1", "6.12", {})
    (tmp_path / NAME).write_bytes(encode_manifest(made, Recipe("virt"), "id", about, locked=True))
    return tmp_path


@pytest.mark.parametrize("secure", [True, False])
def test_a_boot_is_as_foretold(
    release: Path, secure: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    log = release / "log"
    log.write_bytes(boot_of(small_uki(), small_sections(), secure=secure))
    assert run("pcrs", release, "--event-log", log) == 0
    said = capsys.readouterr().out
    assert f"Secure Boot was {'on' if secure else 'off'}" in said
    assert said.count("as foretold") == 2
    assert run("pcrs", release / NAME, "--event-log", log, "--json") == 0
    assert json.loads(capsys.readouterr().out)["as_foretold"] is True


def test_another_command_line_is_seen(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = {**small_sections(), ".cmdline": b"init=/bin/sh"}
    uki = replace_sections(small_uki(), {".cmdline": b"init=/bin/sh"})
    (release / "log").write_bytes(boot_of(uki, changed, secure=True))
    assert run("pcrs", release, "--event-log", release / "log") == 1
    said = capsys.readouterr().out
    assert said.count("differs from") == 2
    assert "IPL: .cmdline" in said


def test_a_boot_without_a_tpm_is_not_as_foretold(release: Path) -> None:
    (release / "log").write_bytes(boot_of(small_uki(), small_sections(), secure=True)[:69])
    assert run("pcrs", release, "--event-log", release / "log") == 1


def test_the_registers_of_a_uki_and_of_its_manifest(
    release: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (release / "zos.efi").write_bytes(sign_image(small_uki(), signer()))
    assert read_forecast(release / "zos.efi") == read_forecast(release)
    assert run("pcrs", release) == 0
    assert capsys.readouterr().out.count("PCR 11  ") == 2


def test_what_foretells_nothing_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", "{}", '{"pcrs": {"secure_boot_on": {"4": "x"}}}'):
        (tmp_path / NAME).write_text(text)
        with pytest.raises(FormatError, match="not a manifest that foretells PCRs"):
            read_forecast(tmp_path)
    with pytest.raises(ImageError, match="No such file"):
        read_log(tmp_path / "none")


def test_a_uki_is_signed_anew_for_another_command_line(tmp_path: Path) -> None:
    folder = secure_boot_keys()
    original = tmp_path / "zos.efi"
    original.write_bytes(sign_image(small_uki(), signer()))
    keys: list[str | Path] = []
    keys += ["--secure-boot-key", folder / "db.key", "--secure-boot-certificate", folder / "db.crt"]
    keys += ["--pcr-key", folder / "KEK.key"]
    for name in ("a", "b"):
        words: list[str | Path] = ["--append", "farmer_id=7", "--output", tmp_path / name]
        assert run("uki", original, *words, *keys) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    # Personalised once more, it has no trace of the first time but the parameters.
    again = personalise((tmp_path / "a").read_bytes(), ["b=1"], Signing())
    wanted = {**small_sections(), ".cmdline": b"console=ttyS0 farmer_id=7 b=1"}
    assert again == replace_sections(small_uki(), wanted)


def test_a_signed_uki_is_the_unsigned_one_but_for_its_signatures() -> None:
    contents = Contents(make_stub(), make_kernel(), b"initramfs", "6.12", "1", "ID=zero-os\n")
    signing = Signing(signer(), open_key(str(secure_boot_keys() / "KEK.key")))
    signed = make_uki(contents, ["a=1", "b"], signing)
    assert read_sections(signed)[".cmdline"] == b"a=1 b"
    assert ".pcrsig" in read_sections(signed)
    assert strip(signed) == make_uki(contents, ["a=1", "b"], UNSIGNED)


def test_a_key_without_its_certificate_is_refused(tmp_path: Path) -> None:
    words: list[str | Path] = ["uki", tmp_path, "--append", "x", "--output", tmp_path / "y"]
    with pytest.raises(Exception, match="go together"):
        run(*words, "--secure-boot-key", tmp_path)
    assert not (tmp_path / "y").exists()
