"""Images for Secure Boot: the release's signed program, and a farm's signed words beside it."""

import hashlib
from pathlib import Path

import pytest
from cryptography import x509

from bootstrap_server.channels.bootable import SLOT_BYTES
from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.errors import SettingsError
from bootstrap_server.images.keys import read_secure_boot
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.efi.addon import make_addon
from common.efi.authenticode import sign_image, verify_image
from common.efi.pe import Image
from tests.helpers.asgi import Answer, ask
from tests.helpers.efi import secure_boot_keys, signer, small_uki
from tests.helpers.pe import make_efi

pytestmark = pytest.mark.timeout(300)
PUBLIC, HUB = "http://boot.example", "http://hub.example"


def write_release(folder: Path, uki: bytes, kernel: bytes = b"kernel") -> Path:
    """Write a release for the run mode dev; return the folder of releases."""
    channel = folder / "dev"
    channel.mkdir(parents=True)
    for name, content in zip((*BOOT_FILES, "zos.efi"), (kernel, b"initramfs", uki), strict=True):
        (channel / name).write_bytes(content)
    return folder


def get(releases: Path, path: str, *, has_key: bool = True) -> Answer:
    """Return the answer of a server with these releases, and the key of db."""
    who = signer() if has_key else None
    return ask(create_app(Settings(PUBLIC, HUB, releases, secure_boot=who)), path)


def test_the_program_is_as_it_was_signed_and_the_farm_beside_it(tmp_path: Path) -> None:
    uki = sign_image(small_uki(), signer())
    releases = write_release(tmp_path, uki)
    one, two = get(releases, "/secure/dev/42"), get(releases, "/secure/dev/7/zos-debug")
    assert one.status == two.status == 200, one.body
    assert one.body.count(uki) == two.body.count(uki) == 1
    assert len(one.body) == len(two.body)
    start = two.body.index(b"MZ", 1 << 20)
    size = len(make_addon(b"", SLOT_BYTES, signer()))
    for answer, farm in ((one, b"farmer_id=42 "), (two, b"farmer_id=7 ")):
        addon = answer.body[start : start + size]
        verify_image(addon, signer().certificate)
        words = Image.parse(addon).content(".cmdline") or b""
        assert farm in words and len(words) == SLOT_BYTES
    assert one.body[:start] == two.body[:start]
    assert one.body[start + size :] == two.body[start + size :]
    again, digest = get(releases, "/secure/dev/42.img"), get(releases, "/secure/dev/42.sha256")
    assert again.body == one.body
    assert digest.text.startswith(hashlib.sha256(one.body).hexdigest())


@pytest.mark.parametrize(
    ("uki", "has_key", "said"),
    [
        (sign_image(small_uki(), signer()), False, "it has no key for them"),
        (small_uki(), True, "the EFI binary is not signed"),
        (sign_image(small_uki(), signer("KEK")), True, "another key signed it"),
        (b"bad", True, "not an EFI binary"),
    ],
)
def test_what_could_not_boot_is_not_made(
    tmp_path: Path, uki: bytes, has_key: bool, said: str
) -> None:
    answer = get(write_release(tmp_path, uki), "/secure/dev/42", has_key=has_key)
    assert answer.status == 404
    assert said in answer.text
    assert "secure_boot_key" in answer.text or "zos image build" in answer.text


def test_a_full_image_of_a_release_for_another_processor_is_not_made(tmp_path: Path) -> None:
    kernel = bytearray(make_efi({".text": b"kernel"}))
    assert get(write_release(tmp_path / "amd64", b"", bytes(kernel)), "/full/dev/42").status == 200
    kernel[0x44:0x46] = (0xAA64).to_bytes(2, "little")
    answer = get(write_release(tmp_path / "arm64", b"", bytes(kernel)), "/full/dev/42")
    assert answer.status == 404
    assert "another processor" in answer.text


def test_the_page_has_the_image_if_the_server_has_the_key(tmp_path: Path) -> None:
    releases = write_release(tmp_path, sign_image(small_uki(), signer()))
    page = "/?farm=42&machine=secure&runmode=dev"
    assert f"{PUBLIC}/secure/dev/42" in get(releases, page).text
    without = get(releases, page, has_key=False).text
    assert "This server has no image for such a machine." in without
    assert "/secure/dev/42" not in without


def test_an_address_may_end_with_the_suffix_of_its_kind(tmp_path: Path) -> None:
    releases = write_release(tmp_path, b"")
    for path, same in (
        ("/iso/dev/42.iso", "/iso/dev/42"),
        ("/iso/dev.iso", "/iso/dev"),
        ("/iso/dev/42.iso.sha256", "/iso/dev/42.sha256"),
    ):
        one = get(releases, path)
        assert one.status == 200
        assert one.body == get(releases, same).body
    assert get(releases, "/iso/dev/42.img").status == 422


def test_key_and_certificate_go_together() -> None:
    keys = secure_boot_keys()
    found = read_secure_boot(keys / "db.key", keys / "db.crt")
    assert found is not None
    assert isinstance(found.certificate, x509.Certificate)
    assert read_secure_boot(None, None) is None
    with pytest.raises(SettingsError, match="go together"):
        read_secure_boot(keys / "db.key", None)
    with pytest.raises(SettingsError, match="not that of the key"):
        read_secure_boot(keys / "db.key", keys / "KEK.crt")
