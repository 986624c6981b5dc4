"""EFI binaries and keys as other programs read them: sbverify, SoftHSM, virt-firmware, systemd."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.debian.architecture import AMD64
from common.debian.archive import open_archive
from common.debian.fetch import fetch_packages
from common.debian.programs import LIBRARY_FOLDER, program_call
from common.efi.authenticode import sign_image
from common.efi.errors import EfiError
from common.efi.sources import open_key
from common.run import CommandError, run
from image.cli import main
from image.efi.measure import KERNEL, foretell, sign_policy
from image.efi.uki import build_uki, extend_sbat
from image.recipe import plan
from tests.helpers.efi import secure_boot_keys, signer, small_sections, small_uki
from tests.helpers.needs import need_tool, need_uefi

pytestmark = pytest.mark.timeout(600)
DEADLINE_S = 120
TSS = ("libtss2-esys-3.0.2-0t64", "libtss2-mu-4.0.1-0t64", "libtss2-rc0t64")
PEERS = ("systemd", "systemd-boot-efi", "systemd-ukify", *TSS)
USED = ("usr/bin/ukify", "usr/lib/systemd/", "usr/lib/x86_64-linux-gnu/")
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234"
ENROLLED = ("db.auth", "db.cer", "KEK.auth", "KEK.cer", "PK.auth", "PK.cer")
VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")


def image(*words: str | Path) -> int:
    """Run `zos image`."""
    return main([*map(str, words)], "zos image")


def test_sbverify_accepts_a_signature(tmp_path: Path) -> None:
    need_tool("sbverify")
    keys, binary, signed = secure_boot_keys(), tmp_path / "a.efi", tmp_path / "b.efi"
    binary.write_bytes(small_uki())
    words: list[str | Path] = [
        "--key",
        keys / "db.key",
        "--certificate",
        keys / "db.crt",
        "--output",
        signed,
    ]
    assert image("sign", binary, *words) == 0
    run(["sbverify", "--cert", keys / "db.crt", signed], timeout_s=DEADLINE_S)
    with pytest.raises(CommandError, match="verification failed"):
        run(["sbverify", "--cert", keys / "KEK.crt", signed], timeout_s=DEADLINE_S)
    altered = bytearray(signed.read_bytes())
    altered[1500] ^= 1
    signed.write_bytes(altered)
    with pytest.raises(CommandError, match="Hash doesn't match"):
        run(["sbverify", "--cert", keys / "db.crt", signed], timeout_s=DEADLINE_S)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URI of the key db, in a token of SoftHSM."""
    need_tool("softhsm2-util")
    (tmp_path / "tokens").mkdir()
    settings = tmp_path / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    (tmp_path / "pin").write_text(f"{PIN}\n")
    tool = ["softhsm2-util", "--module", MODULE, "--pin", PIN]
    label = ["--token", "release", "--label", "db", "--id", "01"]
    new = ["--init-token", "--free", "--label", "release", "--so-pin", PIN]
    run([*tool, *new], timeout_s=DEADLINE_S)
    run([*tool, "--import", secure_boot_keys() / "db.key", *label], timeout_s=DEADLINE_S)
    yield f"pkcs11:token=release;object=db?module-path={MODULE}"


def test_a_key_in_a_token_signs_as_the_same_key_in_a_file(token: str, tmp_path: Path) -> None:
    binary, signed = tmp_path / "a.efi", tmp_path / "b.efi"
    binary.write_bytes(small_uki())
    key = f"{token}&pin-source={tmp_path / 'pin'}"
    certificate = secure_boot_keys() / "db.crt"
    words = ["--key", key, "--output", str(signed), "--certificate"]
    assert image("sign", binary, *words, certificate) == 0
    assert signed.read_bytes() == sign_image(small_uki(), signer())
    with pytest.raises(EfiError, match="not that of the key"):
        image("sign", binary, *words, secure_boot_keys() / "KEK.crt")


def test_a_key_that_the_token_does_not_give_is_refused(token: str, tmp_path: Path) -> None:
    with pytest.raises(EfiError, match="CKR_PIN_INCORRECT") as caught:
        open_key(f"{token}&pin-value=999999")
    assert "999999" not in str(caught.value)
    pin = f"&pin-value={PIN}"
    with pytest.raises(EfiError, match="no public RSA key 'other'"):
        open_key(token.replace("object=db", "object=other") + pin)
    with pytest.raises(EfiError, match="cannot find the PKCS#11 token 'other'"):
        open_key(token.replace("token=release", "token=other") + pin)
    with pytest.raises(EfiError, match="cannot use pkcs11:token=release;object=db"):
        open_key(token.replace(MODULE, str(tmp_path / "none.so")) + pin)
    with pytest.raises(EfiError, match="cannot read the PIN"):
        open_key(f"{token}&pin-source={tmp_path / 'none'}")


def test_a_machines_keys_are_made_and_enrolled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_uefi()
    keys, output = tmp_path / "keys", tmp_path / "out"
    words: list[str | Path] = [
        "--output",
        output,
        "--ovmf",
        VARIABLES,
        "--db",
        secure_boot_keys() / "db.crt",
    ]
    assert image("enroll", keys, "--make-keys", "Farm", *words) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == [*ENROLLED, "OVMF_VARS.fd"]
    assert all((output / name).stat().st_size for name in names)
    assert not [path for path in output.iterdir() if b"PRIVATE" in path.read_bytes()]
    variables = str(output / "OVMF_VARS.fd")
    call = [sys.executable, "-m", "virt.firmware.vars", "-i", variables, "-p", "-v"]
    said = run(call, timeout_s=DEADLINE_S).decode()
    assert re.search(r"name=SecureBootEnable .*\n +bool: ON", said)
    for name in ("Farm PK", "Farm KEK", "Farm db", "Test db"):
        assert name in said


def test_an_enrolment_of_something_else_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "vars").write_bytes(b"not variables")
    keys = secure_boot_keys()
    with pytest.raises(EfiError, match="cannot enroll the keys"):
        image("enroll", keys, "--output", tmp_path / "out", "--ovmf", tmp_path / "vars")
    assert not (tmp_path / "out" / "OVMF_VARS.fd").exists()


@pytest.fixture(scope="module")
def systemd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with Debian 13's ukify, systemd-measure and EFI stub."""
    need_tool("apt-get")
    folder = tmp_path_factory.mktemp("systemd")
    with open_archive(fetch_packages(PEERS)) as archive:
        archive.unpack([path for path in archive.paths if path.startswith(USED)], folder)
    return folder


@pytest.mark.matrix
def test_it_is_the_uki_that_ukify_makes_and_systemd_measures(systemd: Path, tmp_path: Path) -> None:
    stub = systemd / plan.stub(AMD64)
    sections = {**small_sections(), ".sbat": extend_sbat(stub.read_bytes(), "1"), ".ucode": b"new"}
    uki = build_uki(stub.read_bytes(), sections)
    files = {name: tmp_path / name for name in sections}
    for name, path in files.items():
        path.write_bytes(sections[name])
    own_line = sections[".sbat"].decode().splitlines()[-1]
    call: list[str | Path] = [sys.executable, systemd / "usr/bin/ukify", "build"]
    call += ["--stub", stub, "--efi-arch", "x64", "--output", tmp_path / "ukify.efi"]
    call += ["--linux", files[".linux"], "--initrd", files[".initrd"], "--uname", "6.12"]
    call += ["--cmdline", f"@{files['.cmdline']}", "--os-release", f"@{files['.osrel']}"]
    call += ["--microcode", files[".ucode"], "--sbat", f"sbat,1,x,sbat,1,x\n{own_line}\n"]
    run(call, timeout_s=DEADLINE_S)
    theirs = (tmp_path / "ukify.efi").read_bytes()
    assert len(theirs) == len(uki)
    # ukify leaves the last line's end out of .sbat.
    assert sum(a != b for a, b in zip(uki, theirs, strict=True)) <= 2
    (row,) = measure(systemd, files, "calculate")["sha256"]
    assert row["hash"] == foretell(uki).secure_boot_on[KERNEL].hex()


@pytest.mark.matrix
def test_it_is_the_signature_that_systemd_makes(systemd: Path, tmp_path: Path) -> None:
    private = secure_boot_keys() / "KEK.key"
    sections = sign_policy(small_sections(), open_key(str(private)))
    theirs = {name: tmp_path / name for name in sections if name != ".pcrsig"}
    for name, path in theirs.items():
        path.write_bytes(sections[name])
    words = [f"--private-key={private}", f"--public-key={theirs['.pcrpkey']}"]
    assert measure(systemd, theirs, "sign", *words) == json.loads(sections[".pcrsig"])


def measure(systemd: Path, files: dict[str, Path], verb: str, *options: str) -> Any:
    """Return what systemd-measure says of the sections in `files`."""
    libraries = systemd / LIBRARY_FOLDER
    call = program_call(systemd, "usr/lib/systemd/systemd-measure")
    call[2] = f"{libraries}:{libraries / 'systemd'}"
    words = [f"--{name[1:]}={path}" for name, path in files.items()]
    call += [verb, "--bank=sha256", "--phase=", "--json=short", *options, *words]
    said = run(call, timeout_s=DEADLINE_S)
    return json.loads(said)
