"""The hub's responses, without a network: whole versions of files, and nothing from other sites."""

import hashlib
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI

from flist.hub.app import create_app
from serving.content import FileOpener, OpenFile
from tests.helpers.asgi import ask

NAME = "/tf-zos/development.fl"


@pytest.fixture
def meta(tmp_path: Path) -> Path:
    path = tmp_path / "flists" / "tf-zos" / "development.fl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"old" * 1000)
    return path


@pytest.fixture
def app(tmp_path: Path, meta: Path) -> FastAPI:
    return create_app(tmp_path)


def test_a_flist_that_is_replaced_during_a_request_is_sent_with_its_own_etag(
    app: FastAPI, meta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_open = FileOpener.open

    def replace_after(opener: FileOpener, path: Path, etag: str | None = None) -> OpenFile:
        content = first_open(opener, path, etag)
        meta.with_name("new").write_bytes(b"newer" * 1000)
        meta.with_name("new").replace(meta)
        return content

    monkeypatch.setattr(FileOpener, "open", replace_after)
    for expected in (b"old" * 1000, b"newer" * 1000):
        answer = ask(app, NAME)
        assert answer.body == expected
        assert answer.headers["etag"] == f'"{hashlib.sha256(expected).hexdigest()}"'


def test_a_flist_that_is_removed_during_a_request_is_not_found(
    app: FastAPI, meta: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_open = FileOpener.open

    def remove_before(opener: FileOpener, path: Path, etag: str | None = None) -> OpenFile:
        meta.unlink()
        return first_open(opener, path, etag)

    monkeypatch.setattr(FileOpener, "open", remove_before)
    assert ask(app, NAME).status == 404
    assert ask(app, NAME).status == 404


def test_a_flist_may_be_a_link(app: FastAPI, meta: Path) -> None:
    meta.with_name("latest.fl").symlink_to(meta.name)
    assert ask(app, "/tf-zos/latest.fl").body == meta.read_bytes()


def test_ranges_and_conditions(app: FastAPI, tmp_path: Path) -> None:
    etag = ask(app, NAME).headers["etag"]
    assert ask(app, NAME, range="bytes=1-3").body == b"ldo"
    assert ask(app, NAME, range="bytes=1-3", if_range='"other"').status == 200
    assert ask(app, NAME, range="bytes=9999-").status == 416
    same = ask(app, NAME, if_none_match=f'"x", W/{etag}')
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", etag)
    name = "ab" * 32
    for place in (tmp_path / "blocks" / "ab" / name, tmp_path / "blocks" / name):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"block")
        for path in (f"/blocks/ab/{name}", f"/blocks/{name}", f"/api/v1/block/{name}"):
            block = ask(app, path)
            assert (block.body, block.headers["etag"]) == (b"block", f'"{name}"')
            assert "immutable" in block.headers["cache-control"]
            assert ask(app, path, if_none_match=f'"{name}"').status == 304
        assert ask(app, f"/blocks/aa/{name}").status == 404
        shutil.rmtree(tmp_path / "blocks" / "ab", ignore_errors=True)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/api/docs", f"{NAME}/", "/api/flist/"])
def test_no_page_with_foreign_scripts_and_no_redirect(app: FastAPI, path: str) -> None:
    answer = ask(app, path)
    assert answer.status == 404
    assert "location" not in answer.headers
