"""Manifests: what a reader accepts, and which releases a production channel takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ZosError
from common.releases.layout import Layout, StoreError
from common.releases.manifest import UnfitError, demand_fit, parse_manifest
from common.runmodes import RUN_MODES

FILE = {"size": 3, "sha256": "0" * 64}
GOOD = {"version": "1.0+ab", "debug": False, "locked": True, "files": {"vmlinuz": FILE}}


def encode(**fields: Any) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


def test_a_manifest_is_read() -> None:
    found = parse_manifest(encode())
    assert (found.version, found.debug, found.locked) == ("1.0+ab", False, True)
    assert found.files["vmlinuz"].size == 3


def test_an_older_manifest_does_not_say_everything() -> None:
    text = json.dumps({"version": "1", "files": {"vmlinuz": FILE}}).encode()
    found = parse_manifest(text)
    assert (found.debug, found.locked, found.identity, found.kernel) == (None, None, "", "")


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "../1"},
        {"version": ""},
        {"version": 1},
        {"files": {}},
        {"files": []},
        {"files": {"../x": FILE}},
        {"files": {"manifest.json": FILE}},
        {"files": {"x": {**FILE, "size": -1}}},
        {"files": {"x": {**FILE, "size": True}}},
        {"files": {"x": {**FILE, "sha256": "A" * 64}}},
        {"files": {"x": {"size": 1}}},
        {"debug": "no"},
        {"locked": 1},
        {"identity": None},
        {"kernel": ["6.12"]},
    ],
)
def test_a_manifest_that_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(StoreError):
        parse_manifest(encode(**fields))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(StoreError):
        parse_manifest(data)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"debug": True}, "debug release"),
        ({"debug": None}, "does not say `debug`"),
        ({"locked": False}, "not locked"),
        ({"locked": None}, "does not say `locked`"),
    ],
)
def test_production_takes_no_debug_and_no_unlocked_release(
    fields: dict[str, Any], reason: str
) -> None:
    manifest = parse_manifest(encode(**fields))
    for name, mode in RUN_MODES.items():
        if mode.is_production:
            with pytest.raises(UnfitError, match=reason):
                demand_fit(manifest, name)
        else:
            demand_fit(manifest, name)
    demand_fit(parse_manifest(encode()), "prod")


@pytest.mark.parametrize(
    "name", ["", "../x.json", "root.json", "0.root.json", "1.ROOT.json", "1.root.json.tmp", "a/b"]
)
def test_no_path_leaves_the_store(name: str) -> None:
    layout = Layout(Path("/store"))
    with pytest.raises(ZosError):
        layout.metadata(name)
    with pytest.raises(ZosError):
        layout.blob(name)
