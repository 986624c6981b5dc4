"""Enrolment tokens: bound to farm, run mode and options, and refused if a bit is wrong."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_server.errors import InputError, SettingsError
from bootstrap_server.options.model import Options
from bootstrap_server.settings import Settings
from bootstrap_server.trust.enrolment import FILE_NAME, Enroller, load_key
from bootstrap_server.web.app import create_app
from common.nodes.enrolment import CONTEXT, HEAD
from tests.helpers.asgi import ask, send_body

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ENROLLER = Enroller(KEY)
OPTIONS = Options("dev", 4711, ("zos-debug",))
MAC = "52:54:00:12:34:56"


def test_a_token_says_what_the_image_was_made_for() -> None:
    token = ENROLLER.make_token(OPTIONS)
    found = ENROLLER.verify(token)
    assert found is not None
    assert (found.farm, found.run_mode, found.options) == (4711, "dev", OPTIONS.identity)
    assert token == ENROLLER.make_token(Options("dev", 4711, ("zos-debug",)))
    assert len(token) < 150


def test_the_documented_format_can_be_made_by_hand() -> None:
    import base64

    payload = HEAD.pack(1, 4711, bytes.fromhex(OPTIONS.identity)) + b"dev"
    made = base64.urlsafe_b64encode(payload + KEY.sign(CONTEXT + payload)).decode().rstrip("=")
    assert made == ENROLLER.make_token(OPTIONS)


def test_other_options_have_another_token() -> None:
    others = (Options("qa", 4711), Options("dev", 4712), Options("dev", 4711), OPTIONS)
    assert len({ENROLLER.make_token(options) for options in others}) == 4


def test_without_a_key_or_a_farm_there_is_none() -> None:
    assert Enroller(None).make_token(OPTIONS) == ""
    assert ENROLLER.make_token(Options("dev")) == ""
    assert Enroller(None).verify("anything") is None


@given(st.integers(0, 8 * 106 - 1))
def test_a_token_with_a_wrong_bit_is_refused(bit: int) -> None:
    import base64

    token = ENROLLER.make_token(OPTIONS)
    data = bytearray(base64.urlsafe_b64decode(token + "=="))
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    with pytest.raises(InputError):
        ENROLLER.verify(base64.urlsafe_b64encode(data).decode().rstrip("="))


@given(st.text(max_size=300))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        ENROLLER.verify(text)


def test_a_token_of_another_server_is_refused() -> None:
    other = Enroller(Ed25519PrivateKey.generate()).make_token(OPTIONS)
    for wrong in (other, ENROLLER.make_token(OPTIONS) + "=", ENROLLER.make_token(OPTIONS)[:-1]):
        with pytest.raises(InputError, match="not one of this server"):
            ENROLLER.verify(wrong)


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: load_key(None, tmp_path), range(4)))
    keys = {key.private_bytes_raw() for key in found if key}
    assert len(keys) == 1
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert load_key(None, None) is None
    same = load_key(tmp_path / FILE_NAME, None)
    assert same and same.private_bytes_raw() in keys


@pytest.mark.parametrize("content", [b"", b"x", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError, match="no Ed25519 key"):
        load_key(tmp_path / "key", None)
    with pytest.raises(SettingsError, match="cannot read"):
        load_key(tmp_path / "none", None)


def test_a_key_that_is_a_pipe_does_not_hold_up_the_server(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SettingsError, match="not a regular file"):
        load_key(tmp_path / "pipe", None)


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    url = "http://boot.example"
    channel = tmp_path / "releases" / "dev"
    channel.mkdir(parents=True)
    for name in ("vmlinuz", "initramfs.zst"):
        (channel / name).write_bytes(b"x")
    return create_app(Settings(url, url, channel.parent, state=tmp_path / "state"))


def report(app: FastAPI, **fields: object) -> int:
    """Send a node's report; return the status."""
    body = json.dumps({"mac": MAC, **fields}).encode()
    return send_body(app, "POST", "/boot/linux", body, {"content-type": "application/json"}).status


def is_enrolled(app: FastAPI) -> list[bool]:
    """Return that of each machine of the farm."""
    nodes = json.loads(ask(app, "/api/farms/4711/nodes").text)["nodes"]
    return [node["is_enrolled"] for node in nodes]


def test_the_token_in_a_script_enrols_the_node(app: FastAPI) -> None:
    script = ask(app, "/ipxe/dev/4711/zos-debug").text
    token = script.partition(" enrol=")[2].partition(" ")[0]
    assert token == app.state.server.enroller.make_token(OPTIONS)
    assert report(app, farm=4711) == 204
    assert is_enrolled(app) == [False]
    assert report(app, farm=4711, mode="dev", enrol=token) == 204
    assert is_enrolled(app) == [True]


def test_a_false_token_is_refused_and_nothing_is_kept(app: FastAPI) -> None:
    token = app.state.server.enroller.make_token(OPTIONS)
    assert report(app, farm=4711, enrol=token[:-1] + "!") == 422
    assert report(app, farm=4712, enrol=token) == 422
    assert report(app, farm=4711, mode="qa", enrol=token) == 422
    assert is_enrolled(app) == []
