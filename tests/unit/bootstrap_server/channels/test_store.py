"""A server whose releases come from signed channels serves nothing else."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi import FastAPI

from bootstrap_server.channels.sources import StoreSource
from bootstrap_server.commands.serve import read_root
from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import BootstrapSettings, Settings
from bootstrap_server.web.app import create_app
from serving.content import FileOpener, KnownFiles, NotAtOnceError
from tests.helpers.asgi import ask
from tests.helpers.ipxe.grammar import read_commands
from tests.helpers.releases.store import DAY_S, Maintainer
from tests.unit.bootstrap_server.test_hostile import POISON

DOWN = "http://boot.example"


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    made = Maintainer.begin(tmp_path)
    made.publish("dev", "1.0")
    return made


@pytest.fixture
def app(maintainer: Maintainer) -> FastAPI:
    return serve(maintainer)


def serve(maintainer: Maintainer) -> FastAPI:
    store = maintainer.layout.top
    return create_app(Settings(DOWN, "http://hub.example", store=store, root=maintainer.root))


def current(app: FastAPI) -> str:
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert answer.status == 200, answer.text
    (command,) = [c for c in read_commands(answer.text) if c.name == "set"]
    return command.arguments[1]


def test_a_channel_is_served(app: FastAPI) -> None:
    assert "release 1.0" in ask(app, "/kernel/dev/release.ipxe").text
    release = current(app)
    for name in ("vmlinuz", "initramfs.zst"):
        answer = ask(app, f"/kernel/dev/{release}/{name}")
        assert (answer.status, answer.text) == (200, f"{name} of 1.0\n" * 20)
        assert "immutable" in answer.headers["cache-control"]
        assert ask(app, f"/kernel/dev/{name}").text == answer.text
    assert '"version": "1.0"' in ask(app, "/kernel/dev/manifest.json").text
    for path in (f"{release}/manifest.json", "other/vmlinuz", "history.jsonl", "sbom.spdx.json"):
        assert ask(app, f"/kernel/dev/{path}").status == 404


def test_the_ready_page_and_the_form_know_the_channels(app: FastAPI) -> None:
    assert ask(app, "/kernel/qa/release.ipxe").status == 404
    channels = app.state.server.describe()["channels"]
    assert channels == {"dev": True, "qa": False, "test": False, "prod": False}


def test_a_node_that_has_begun_gets_its_files(app: FastAPI, maintainer: Maintainer) -> None:
    before = current(app)
    maintainer.publish("dev", "1.1")
    after = current(app)
    assert after != before
    assert ask(app, f"/kernel/dev/{before}/vmlinuz").text.startswith("vmlinuz of 1.0")
    assert ask(app, f"/kernel/dev/{after}/vmlinuz").text.startswith("vmlinuz of 1.1")
    assert ask(app, f"/kernel/prod/{before}/vmlinuz").status == 404
    maintainer.rollback("dev")
    assert current(app) == before


def test_what_was_withdrawn_is_not_offered(app: FastAPI, maintainer: Maintainer) -> None:
    maintainer.withdraw("1.0")
    assert ask(app, "/kernel/dev/release.ipxe").status == 404


def test_an_older_state_is_refused(app: FastAPI, maintainer: Maintainer, tmp_path: Path) -> None:
    metadata = maintainer.layout.top / "metadata"
    shutil.copytree(metadata, tmp_path / "old")
    maintainer.publish("dev", "1.1")
    current(app)
    shutil.copytree(tmp_path / "old", metadata, dirs_exist_ok=True)
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert answer.status == 503
    assert "timestamp.json is version 2, and 3 was seen before" in answer.text


def test_what_has_expired_is_refused(app: FastAPI, maintainer: Maintainer) -> None:
    current(app)
    later = maintainer.now + 15 * DAY_S
    app.state.server.source.clock = lambda: later
    answer = ask(app, "/kernel/dev/release.ipxe")
    assert answer.status == 503
    assert "has expired" in answer.text
    assert ask(app, "/kernel/dev/vmlinuz").status == 503
    maintainer.now = later
    maintainer.renew()
    current(app)


def test_what_must_be_verified_is_not_known_at_once(maintainer: Maintainer) -> None:
    opener, now = FileOpener(), [maintainer.now]
    source = StoreSource(maintainer.layout.top, maintainer.root, opener, lambda: now[0])
    hasty = source.at_once(KnownFiles(opener))

    def check_unknown() -> None:
        with pytest.raises(NotAtOnceError):
            hasty.find("dev")
        with pytest.raises(NotAtOnceError):
            hasty.open("dev", "vmlinuz")

    check_unknown()
    found = source.find("dev")
    assert hasty.find("dev") == found
    hasty.open("dev", "vmlinuz").close()
    maintainer.publish("dev", "1.1")
    check_unknown()
    assert source.find("dev") != found
    with pytest.raises(NotAtOnceError):
        hasty.open_pinned("dev", "1.0", "vmlinuz")
    source.find_earlier("dev", "1.0")
    hasty.open_pinned("dev", "1.0", "vmlinuz").close()
    with source._lock:  # another thread verifies
        check_unknown()
    now[0] += 400 * DAY_S
    check_unknown()


def test_who_only_writes_to_the_store_boots_nothing(
    app: FastAPI, maintainer: Maintainer, tmp_path: Path
) -> None:
    other = Maintainer.begin(tmp_path / "other")
    other.publish("dev", "6.66")
    top = maintainer.layout.top
    shutil.copytree(other.layout.top, top, dirs_exist_ok=True)
    for path in ("release.ipxe", "vmlinuz", "manifest.json"):
        assert ask(app, f"/kernel/dev/{path}").status == 503
    assert app.state.server.describe()["channels"]["dev"] is False


def test_a_damaged_file_is_not_served(app: FastAPI, maintainer: Maintainer) -> None:
    release = current(app)
    place = maintainer.layout.blob(maintainer.read("dev").files["vmlinuz"].sha256)
    place.write_bytes(b"x" * place.stat().st_size)
    for path in ("vmlinuz", f"{release}/vmlinuz", "release.ipxe"):
        assert ask(app, f"/kernel/dev/{path}").status == 503
    assert ask(app, f"/channel/targets/dev/{place.name}.vmlinuz").status == 503


def test_a_release_that_has_lost_a_file_is_not_named(app: FastAPI, maintainer: Maintainer) -> None:
    current(app)
    maintainer.layout.blob(maintainer.read("dev").files["initramfs.zst"].sha256).unlink()
    assert ask(app, "/kernel/dev/release.ipxe").status == 404
    assert app.state.server.describe()["channels"]["dev"] is False


def test_a_lack_of_descriptors_is_no_lack_of_a_release(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = current(app)

    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    source = app.state.server.source
    monkeypatch.setattr(source.opener, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        source.open("dev", "vmlinuz")
    with pytest.raises(OSError, match="Too many open files"):
        source.open_pinned("dev", release, "vmlinuz")
    with pytest.raises(OSError, match="Too many open files"):
        source.open_metadata("timestamp.json")
    monkeypatch.setattr("common.releases.layout.open_regular", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        source.find("dev")


def test_the_metadata_is_served(app: FastAPI, maintainer: Maintainer) -> None:
    for name, data in maintainer.files().items():
        answer = ask(app, f"/channel/metadata/{name}")
        assert (answer.status, answer.text) == (200, data.decode())
        cached = answer.headers["cache-control"]
        assert cached == "no-cache" if name == "timestamp.json" else "immutable" in cached
    channel = maintainer.read("dev")
    sha256 = (channel.history.hashes or {})["sha256"]
    history = ask(app, f"/channel/targets/dev/{sha256}.history.jsonl")
    assert hashlib.sha256(history.text.encode()).hexdigest() == sha256


@pytest.mark.parametrize(
    "path",
    [
        "metadata/2.root.json",
        "metadata/root.json",
        "metadata/..%2F.lock",
        "metadata/x",
        f"targets/dev/{'0' * 64}.x",
        "targets/dev/x",
        "targets/nowhere/x",
    ],
)
def test_what_is_not_there(app: FastAPI, path: str) -> None:
    assert ask(app, f"/channel/{path}").status == 404


def test_hostile_names(app: FastAPI) -> None:
    for text in POISON:
        word = quote(text[:2000], safe="")
        for path in (f"metadata/{word}", f"targets/dev/{word}", f"targets/{word}/x"):
            assert 400 <= ask(app, f"/channel/{path}").status < 500, path


def test_a_server_of_folders_has_no_metadata(tmp_path: Path) -> None:
    app = create_app(Settings(DOWN, "http://hub.example", tmp_path))
    assert ask(app, "/channel/metadata/timestamp.json").status == 404
    assert ask(app, "/channel/targets/dev/x").status == 404


def test_the_settings_name_one_source(tmp_path: Path, maintainer: Maintainer) -> None:
    hows: list[dict[str, Path]] = [{}, {"releases": tmp_path, "store": tmp_path}]
    for how in hows:
        with pytest.raises(SettingsError, match="where releases are"):
            Settings(DOWN, "http://hub.example", how.get("releases"), store=how.get("store"))
    root = tmp_path / "keys" / "root.json"

    def read(place: Path | None) -> bytes:
        hub, store = "http://hub.example", tmp_path / "store"
        return read_root(BootstrapSettings(hub=hub, store=store, store_root=place))

    assert read(root) == maintainer.root
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    for place, reason in ((None, "without a root"), (bad, "cannot trust"), (tmp_path, "cannot")):
        with pytest.raises(SettingsError, match=reason):
            read(place)
