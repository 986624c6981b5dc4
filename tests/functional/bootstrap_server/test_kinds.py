"""Every kind of image at every form of its address, with its checksum and signature beside it."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.images.kinds import FIRMWARE_TYPES, KINDS, Kind
from bootstrap_server.images.make import SIGNED
from bootstrap_server.images.template import RECIPES as TEMPLATES
from bootstrap_server.images.template import load_templates
from bootstrap_server.images.workshop import IPXE_ROOT
from bootstrap_server.script.boot import COMMAND_LINE_MAX_BYTES, SLOT_BYTES
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from common.efi.authenticode import sign_image
from tests.functional.bootstrap_server.test_server import PUBLIC, Server, run_server
from tests.helpers.asgi import ask
from tests.helpers.efi import secure_boot_keys, signer
from tests.helpers.needs import need_tool

pytestmark = pytest.mark.timeout(900)
EVERY = sorted(KINDS)
SLOTS = [name for name, kind in KINDS.items() if kind.max_parts and kind.source in TEMPLATES]
TIMEOUT_S = 60
ROOT = bytes(range(100, 132))
MARKS = {".iso": (0x8001, b"CD001"), ".efi": (0, b"MZ"), ".lkrn": (0x202, b"HdrS")}


def run(*words: str | Path) -> str:
    """Return what a program prints."""
    done = subprocess.run(words, capture_output=True, timeout=TIMEOUT_S, check=True)
    return done.stdout.decode()


@pytest.fixture(scope="module")
def image_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("openssl")
    path = tmp_path_factory.mktemp("key") / "image.key"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", path)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, image_key: Path) -> Iterator[Server]:
    releases = tmp_path_factory.mktemp("releases")
    (releases / "dev").mkdir()
    for name in BOOT_FILES:
        (releases / "dev" / name).write_bytes(name.encode() * 1000)
    # Another program stands for the release's.
    program = sign_image(load_templates()["uefi-generic"].data, signer())
    (releases / "dev" / "zos.efi").write_bytes(program)
    keys = secure_boot_keys()
    with run_server(
        releases,
        ZOS_BOOTSTRAP_IMAGE_KEY=str(image_key),
        ZOS_BOOTSTRAP_SECURE_BOOT_KEY=f"{keys}/db.key",
        ZOS_BOOTSTRAP_SECURE_BOOT_CERTIFICATE=f"{keys}/db.crt",
    ) as running:
        yield running


def address(kind: Kind) -> str:
    """Return an address of a kind: a farm's with a parameter, or the only one."""
    return "/".join(["", kind.name, "dev", "42", "zos-debug"][: 2 + min(3, kind.max_parts)])


@pytest.fixture(scope="module")
def private(server: Server) -> FastAPI:
    """Return a server whose certificate is signed by a root of the operator's own."""
    return create_app(
        Settings("https://boot.example", "http://hub", server.releases, tls_root=ROOT)
    )


@pytest.mark.parametrize("name", EVERY)
def test_a_kind_is_the_same_whole_in_parts_and_again(server: Server, name: str) -> None:
    path = address(KINDS[name])
    whole, again, head = server.ask(path), server.ask(path), server.ask(path, "HEAD")
    assert whole.status == 200, whole.data
    assert whole.headers["content-type"] == KINDS[name].media_type
    assert (again.data, again.headers["etag"]) == (whole.data, whole.headers["etag"])
    assert (head.data, head.headers["content-length"]) == (b"", str(len(whole.data)))
    middle = len(whole.data) // 2
    parts = [server.ask(path, Range=f"bytes={span}") for span in (f"0-{middle}", f"{middle + 1}-")]
    assert [part.status for part in parts] == [206, 206]
    assert b"".join(part.data for part in parts) == whole.data
    assert server.ask(path, If_None_Match=whole.headers["etag"]).status == 304
    offset, mark = MARKS.get(KINDS[name].suffix, (0, b""))
    assert whole.data[offset:].startswith(mark)


@pytest.mark.parametrize("name", EVERY)
def test_the_http_client_of_uefi_is_told_what_it_boots(server: Server, name: str) -> None:
    """EDK II boots nothing else from an address without `.efi` at its end."""
    kind = KINDS[name]
    for method in ("HEAD", "GET"):
        head = server.ask(address(kind), method, User_Agent="UefiHttpBoot/1.0").headers
        assert head["content-type"] == FIRMWARE_TYPES.get(kind.suffix, kind.media_type)
        assert head["vary"] == "Accept, User-Agent"


@pytest.mark.parametrize("name", EVERY)
def test_the_checksum_and_the_signature_of_a_kind_are_true(
    server: Server, name: str, tmp_path: Path
) -> None:
    path = address(KINDS[name])
    data = server.ask(path).data
    line = server.ask(f"{path}.sha256").data.decode()
    digest, _, file_name = line.rstrip("\n").partition("  ")
    assert digest == hashlib.sha256(data).hexdigest()
    image = tmp_path / file_name
    image.write_bytes(data)
    (tmp_path / "line").write_text(line)
    subprocess.run(["sha256sum", "--check", "line"], cwd=tmp_path, check=True, timeout=TIMEOUT_S)
    (tmp_path / "public").write_bytes(server.ask("/image-key.pub").data)
    (tmp_path / "signature").write_bytes(server.ask(f"{path}.sig").data)
    (tmp_path / "signed").write_text(SIGNED.format(digest))
    call: list[str | Path] = [
        "openssl",
        "pkeyutl",
        "-verify",
        "-pubin",
        "-inkey",
        tmp_path / "public",
        "-rawin",
    ]
    said = run(*call, "-in", tmp_path / "signed", "-sigfile", tmp_path / "signature")
    assert "Success" in said


@pytest.mark.parametrize("name", SLOTS)
def test_a_farms_image_has_its_script_and_differs_from_anothers_only_there(
    server: Server, name: str
) -> None:
    script = server.ask("/ipxe/dev/42/zos-debug").data
    one = server.ask(f"/{name}/dev/42/zos-debug").data
    two = server.ask(f"/{name}/dev/7").data
    wide = script.decode().encode("utf-16-le")
    found = one.count(script) + one.count(wide)
    assert found == (2 if name == "iso" else 1)
    assert len(one) == len(two)
    differing = [
        at for at in range(0, len(one), 4096) if one[at : at + 4096] != two[at : at + 4096]
    ]
    assert 0 < len(differing) <= found * (2 * SLOT_BYTES // 4096 + 1)


def test_a_releases_program_is_as_it_was_signed_until_a_farm_is_in_it(server: Server) -> None:
    plain = server.ask("/uki/dev")
    assert plain.data == (server.releases / "dev" / "zos.efi").read_bytes()
    line = "runmode=dev farmer_id=42 hub=http://hub.example "
    one, two = server.ask("/uki/dev/42").data, server.ask("/uki/dev/7").data
    assert one.count(line.encode("utf-16-le")) == 1
    assert len(one) == len(two) > len(plain.data)


def test_a_full_image_has_the_release_and_the_farms_command_line(server: Server) -> None:
    script = server.ask("/ipxe/dev/42/zos-debug").data.decode()
    found = re.search(r"version=v3 runmode=dev farmer_id=42 [^|$\n]*[^|$\s]", script)
    assert found
    line = found[0].encode().ljust(COMMAND_LINE_MAX_BYTES + 1, b"\n")
    one = server.ask("/full/dev/42/zos-debug").data
    two = server.ask("/full/dev/7").data
    assert one.count(line) == 2
    assert all(one.count((server.releases / "dev" / name).read_bytes()) == 1 for name in BOOT_FILES)
    assert len(one) == len(two)
    first = next(at for at in range(len(one)) if one[at] != two[at])
    assert b"farmer_id=" in one[first - 40 : first + 2]
    path = server.releases / "dev" / "vmlinuz"
    path.with_suffix(".new").write_bytes(b"another kernel" * 100)
    path.with_suffix(".new").replace(path)
    three = server.ask("/full/dev/42/zos-debug")
    assert three.headers["etag"] != server.ask("/full/dev/7").headers["etag"]
    assert b"another kernel" * 100 in three.data
    assert three.data.count(line) == 2


@pytest.mark.parametrize("name", [name for name in EVERY if KINDS[name].personal == "provision"])
def test_a_provisioning_image_asks_what_the_machine_is(server: Server, name: str) -> None:
    data = server.ask(f"/{name}").data
    asked = f"{PUBLIC}/provision/${{${{card}}/mac}}?uuid=${{uuid}}"
    assert asked.encode() in data or asked.encode("utf-16-le") in data


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("/iso/dev/", "/iso/dev"),
        ("/iso/dev/42/", "/iso/dev/42"),
        ("/iso/dev/42/zos-debug/", "/iso/dev/42/zos-debug"),
        ("/snponly/dev/42", "/snponly/dev/42/"),
        ("/uefimg/dev/42", "/usb/dev/42"),
        ("/iso/dev/42/.sha256", "/iso/dev/42.sha256"),
    ],
)
def test_two_forms_of_one_address(server: Server, path: str, same: str) -> None:
    one, two = server.ask(path), server.ask(same)
    assert one.status == two.status == 200
    assert one.data == two.data


@pytest.mark.parametrize("name", [name for name in EVERY if KINDS[name].max_parts])
def test_no_kind_has_an_image_where_nothing_can_boot(server: Server, name: str) -> None:
    for path in (f"/{name}", f"/{name}/", f"/{name}/qa/1", f"/{name}/nothing/1", f"/{name}/dev/0"):
        assert server.ask(path).status in (404, 422), path


@pytest.mark.parametrize("name", ["usb", "iso", "uefi", "uefi-arm64", "snponly"])
def test_a_private_root_is_in_every_program_for_uefi(private: FastAPI, name: str) -> None:
    answer = ask(private, f"/{name}/dev/42")
    assert answer.status == 200
    assert answer.body.count(ROOT) == (2 if name in ("usb", "iso") else 1)  # two processors
    assert IPXE_ROOT not in answer.body


@pytest.mark.parametrize("path", ["/krn/dev/42", "/krn-provision"])
def test_a_bios_file_that_could_not_trust_the_root_is_not_made(private: FastAPI, path: str) -> None:
    answer = ask(private, path)
    assert answer.status == 404
    assert b"own root certificate" in answer.body
    assert b"/full/" in answer.body
    assert ask(private, "/krn-generic").status == 200
    assert ask(private, "/full/dev/42").status == 200
