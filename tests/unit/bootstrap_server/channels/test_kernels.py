"""Earlier releases, and an operator's own kernels, chosen by the fourth part of an address."""

import json
from pathlib import Path

import pytest
from fastapi import FastAPI

from bootstrap_server.channels.kernels import NOTHING
from bootstrap_server.settings import Settings
from bootstrap_server.web import images
from bootstrap_server.web.app import create_app
from image.formats.cpio import read_archive
from tests.helpers.asgi import Answer, ask, send_body
from tests.helpers.ipxe.grammar import read_commands
from tests.helpers.releases.store import Maintainer

DOWN = "http://boot.example"
FORM = "multipart/form-data; boundary=zos"


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    made = Maintainer.begin(tmp_path)
    for version in ("1.0", "1.1", "1.2"):
        made.publish("dev", version, parameters=[f"quirk={version}"] if version != "1.2" else [])
    return made


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    folder = tmp_path / "kernels"
    (folder / "net").mkdir(parents=True)
    (folder / "net" / "prod.efi").write_bytes(b"MZ prod")
    (folder / "zos-v3.efi").write_bytes(b"MZ v3")
    (folder / "latest.efi").symlink_to("zos-v3.efi")
    (folder / "outside.efi").symlink_to(tmp_path / "keys" / "root.json")
    (folder / "inside.efi").symlink_to("net/prod.efi")
    (folder / "loop.efi").symlink_to("loop.efi")
    (folder / "gone.efi").symlink_to("nothing.efi")
    return folder


@pytest.fixture
def app(maintainer: Maintainer, kernels: Path) -> FastAPI:
    store = maintainer.layout.top
    return create_app(
        Settings(DOWN, "http://hub.example", store=store, root=maintainer.root, kernels=kernels)
    )


def settings_of(answer: Answer) -> dict[str, str]:
    """Return what a release's script sets."""
    assert answer.status == 200, answer.text
    found = [c.arguments for c in read_commands(answer.text) if c.name == "set"]
    return {name: " ".join(words) for name, *words in found}


def test_an_earlier_release_boots(app: FastAPI, maintainer: Maintainer) -> None:
    script = ask(app, "/ipxe/dev/1/debug/1.1")
    assert "${base}/1.1/release.ipxe" in script.text
    found = settings_of(ask(app, "/kernel/dev/1.1/release.ipxe"))
    assert found == {"release": "1.1", "release_parameters": "quirk=1.1"}
    for name in ("vmlinuz", "initramfs.zst"):
        assert ask(app, f"/kernel/dev/1.1/{name}").text == f"{name} of 1.1\n" * 20
    assert settings_of(ask(app, "/kernel/dev/1.2/release.ipxe")) == {"release": "1.2"}
    assert ask(app, "/kernel/dev/1.1/manifest.json").status == 404
    assert ask(app, "/kernel/qa/1.1/release.ipxe").status == 404
    assert ask(app, "/ipxe/qa/1/debug/1.1").status == 404
    maintainer.withdraw("1.1")
    for path in ("1.1/release.ipxe", "1.1/vmlinuz"):
        assert ask(app, f"/kernel/dev/{path}").status == 404
    assert ask(app, "/ipxe/dev/1/debug/1.1").status == 404


def test_the_parameters_of_a_release_reach_the_kernel(app: FastAPI, maintainer: Maintainer) -> None:
    (line,) = [line for line in ask(app, "/ipxe/dev/1").text.splitlines() if "kernel --" in line]
    assert " ${release_parameters} || goto" in line
    assert list(settings_of(ask(app, "/kernel/dev/release.ipxe"))) == ["release"]
    maintainer.rollback("dev")
    assert settings_of(ask(app, "/kernel/dev/release.ipxe"))["release_parameters"] == "quirk=1.1"


@pytest.mark.parametrize("word", ["a\nshell", "a ||", "${x}", "-x", "", 1, "a" * 300])
def test_parameters_that_are_none(maintainer: Maintainer, word: object) -> None:
    from common.releases.layout import StoreError

    with pytest.raises(StoreError, match="parameters"):
        maintainer.add("9.9", parameters=[word])


def test_what_only_the_store_says_is_no_release(app: FastAPI, maintainer: Maintainer) -> None:
    """Who may write to the store can't make up an earlier release."""
    maintainer.add("6.66")
    assert ask(app, "/kernel/dev/6.66/release.ipxe").status == 404
    metadata = maintainer.layout.metadata("3.dev.json")
    value = json.loads(metadata.read_text())
    value["signed"]["targets"]["dev/vmlinuz"]["length"] += 1
    metadata.write_text(json.dumps(value))
    assert ask(app, "/kernel/dev/1.1/release.ipxe").status == 404
    assert ask(app, "/kernel/dev/1.0/release.ipxe").status == 200


@pytest.mark.parametrize("kind", ["full", "secure", "uki"])
def test_what_holds_a_release_holds_the_current_one(
    app: FastAPI, maintainer: Maintainer, kind: str
) -> None:
    answer = ask(app, f"/{kind}/dev/1?kernel=1.0")
    assert answer.status == 404
    assert "holds the run mode's current release" in answer.text


def test_the_list_of_what_can_be_booted(app: FastAPI, maintainer: Maintainer) -> None:
    maintainer.withdraw("1.0")
    value = json.loads(ask(app, "/api/images").text)
    dev = value["channels"]["dev"]
    assert dev["release"]["version"] == "1.2"
    assert [row["version"] for row in dev["earlier"]] == ["1.1"]
    assert dev["since"] >= "2020"
    assert value["channels"]["qa"] == {"release": None, "since": None, "earlier": []}
    assert value["kernels"] == ["latest.efi", "zos-v3.efi"]


def test_a_kernel_of_the_operators(app: FastAPI, kernels: Path) -> None:
    for name in ("zos-v3.efi", "latest.efi"):
        assert ask(app, f"/kernel/{name}").text == "MZ v3"
        assert ask(app, f"/ipxe/prod/1/debug/{name}").status == 200
        release = settings_of(ask(app, f"/kernel/prod/{name}/release.ipxe"))["release"]
        assert ask(app, f"/kernel/prod/{release}/vmlinuz").text == "MZ v3"
        assert ask(app, f"/kernel/prod/{release}/initramfs.zst").body == NOTHING
        assert ask(app, f"/kernel/prod/{release}/manifest.json").status == 404
    assert read_archive(NOTHING) == []
    (kernels / "zos-v3.efi").write_bytes(b"MZ v4")
    assert ask(app, f"/kernel/prod/{release}/vmlinuz").status == 404
    assert ask(app, f"/kernel/nowhere/{release}/vmlinuz").status == 404


ABSENT = ["nothing.efi", "net", "..", "net%2Fprod.efi", "outside.efi", "inside.efi", "loop.efi"]


@pytest.mark.parametrize("name", [*ABSENT, "gone.efi", "%2e%2e%2fkeys", ".hidden", "a%20b"])
def test_what_is_no_kernel(app: FastAPI, name: str) -> None:
    for path in (f"/kernel/{name}", f"/kernel/dev/{name}/release.ipxe"):
        assert ask(app, path).status == 404, path
    assert 400 <= ask(app, f"/ipxe/prod/1/debug/{name}").status < 500


def form(name: str, content: bytes, field: str = "kernel") -> bytes:
    head = f'Content-Disposition: form-data; name="{field}"; filename="{name}"'
    return f"--zos\r\n{head}\r\n\r\n".encode() + content + b"\r\n--zos--\r\n"


def post(app: FastAPI, path: str, body: bytes = b"", scope: str = "publish") -> Answer:
    token = app.state.tokens.create("ci", [scope])
    head = {"authorization": f"Bearer {token}", "content-type": FORM}
    return send_body(app, "POST", path, body, head)


def test_a_kernel_is_added(app: FastAPI, kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert post(app, "/api/kernel", form("new.efi", b"MZ new")).text == '{"status":"success"}'
    assert post(app, "/api/kernel", form("new.efi", b"MZ newer")).status == 200
    assert ask(app, "/kernel/new.efi").text == "MZ newer"
    for name in ("../x", "a/b", ".x", "a b", "x" * 129, ""):
        assert 400 <= post(app, "/api/kernel", form(name, b"MZ")).status < 500, name
    assert post(app, "/api/kernel", form("net", b"MZ")).status == 409
    for body in (b"", b"--zos", form("x", b"MZ", "other"), b"--zos\r\n\r\n\r\n--zos--\r\n"):
        assert post(app, "/api/kernel", body).status in (400, 422), body
    monkeypatch.setattr(images, "KERNEL_MAX_BYTES", 1000)
    assert post(app, "/api/kernel", form("large.efi", b"x" * 1000)).status == 413
    assert post(app, "/api/kernel", form("x.efi", b""), scope="read").status == 403
    plain = {"content-type": FORM, "cookie": "token=recording-api-token"}
    assert send_body(app, "POST", "/api/kernel", form("x.efi", b""), plain).status == 401
    assert ask(app, "/api/kernel").status == 405
    assert not list(kernels.glob("x*"))
    assert not list(kernels.glob(".*"))


def test_a_name_is_made_to_lead_to_a_kernel(app: FastAPI, kernels: Path) -> None:
    assert post(app, "/api/symlink/now.efi/zos-v3.efi").status == 200
    assert ask(app, "/kernel/now.efi").text == "MZ v3"
    (kernels / "v4.efi").write_bytes(b"MZ v4")
    assert post(app, "/api/symlink/now.efi/v4.efi").status == 200
    assert ask(app, "/kernel/now.efi").text == "MZ v4"
    assert post(app, "/api/symlink/zos-v3.efi/v4.efi").status == 409
    for path in ("x.efi/nothing.efi", "x.efi/net", "x.efi/outside.efi", "x.efi/..", "../x/v4.efi"):
        assert 400 <= post(app, f"/api/symlink/{path}").status < 500, path
    assert post(app, "/api/symlink/more.efi/now.efi").status == 200
    assert post(app, "/api/symlink/now.efi/more.efi").status == 422, "a loop leads to no kernel"
    assert post(app, "/api/symlink/now.efi/now.efi").status == 422
    assert ask(app, "/kernel/more.efi").text == "MZ v4"
    assert post(app, "/api/symlink/v5.efi/v4.efi", scope="nodes").status == 403
    assert ask(app, "/api/symlink/now.efi/zos-v3.efi").status == 405
    assert sorted(path.name for path in kernels.glob(".*")) == []


def test_a_server_without_kernels(maintainer: Maintainer) -> None:
    store = maintainer.layout.top
    app = create_app(Settings(DOWN, "http://hub.example", store=store, root=maintainer.root))
    assert ask(app, "/kernel/zos-v3.efi").status == 404
    assert post(app, "/api/kernel", form("new.efi", b"MZ")).status == 404
    assert json.loads(ask(app, "/api/images").text)["kernels"] == []
