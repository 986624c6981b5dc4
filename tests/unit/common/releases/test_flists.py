"""Sets of flists: what a manifest may name, and which version a release with them has."""

import json
from typing import Any

import pytest

from common.releases.flists import ReleaseFlist, set_version
from common.releases.layout import StoreError, boot_version
from common.releases.manifest import parse_manifest

CORE = {"role": "core", "name": "tf-zos/production-core", "sha256": "a" * 64, "size": 139264}
WORK = {"role": "workload", "name": "tf-zos/production", "sha256": "b" * 64, "size": 577536}
VERSION = "1.0+ab.set44325f8d"


def manifest(rows: Any, version: str | None = None) -> bytes:
    if version is None:
        version = set_version("1.0+ab", [ReleaseFlist(**row) for row in rows])
    files = {"vmlinuz": {"size": 3, "sha256": "0" * 64}}
    return json.dumps({"version": version, "files": files, "flists": rows}).encode()


def test_a_set_is_read_in_any_order() -> None:
    found = parse_manifest(manifest([WORK, CORE]))
    assert [flist.to_json() for flist in found.flists] == [CORE, WORK]
    assert found.version == parse_manifest(manifest([CORE, WORK])).version == VERSION


def test_the_version_is_that_of_the_boot_and_of_the_set() -> None:
    assert boot_version(VERSION) == "1.0+ab"
    assert boot_version("1.0+ab") == "1.0+ab"
    assert boot_version("1.0+ab.set1234567") == "1.0+ab.set1234567"
    assert boot_version("") == ""
    assert set_version("1.0+ab", []) == "1.0+ab"
    other = ReleaseFlist(**{**CORE, "sha256": "c" * 64})  # type: ignore[arg-type]
    assert set_version("1.0+ab", [other]) != set_version("1.0+ab", [ReleaseFlist(**CORE)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"role": "shell"},
        {"role": 1},
        {"name": "production"},
        {"name": "tf-zos/../x"},
        {"name": "tf-zos/a b"},
        {"name": "a/b/c"},
        {"sha256": "A" * 64},
        {"sha256": None},
        {"size": 0},
        {"size": True},
        {"size": "1"},
        {"size": 1 << 40},
    ],
)
def test_a_flist_that_no_node_could_fetch_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StoreError):
        parse_manifest(manifest([{**CORE, **change}], VERSION))


@pytest.mark.parametrize("rows", [{}, [1], "x", [[]], None])
def test_what_is_no_list_of_flists_is_refused(rows: Any) -> None:
    with pytest.raises(StoreError):
        parse_manifest(manifest(rows, VERSION))


def test_a_role_has_one_flist() -> None:
    with pytest.raises(StoreError, match="one flist of each role at most"):
        parse_manifest(manifest([CORE, CORE], VERSION))


@pytest.mark.parametrize("version", ["1.0+ab", "1.0+ab.set00000000", "1.0+ab.set44325f8dx"])
def test_a_version_of_another_set_is_refused(version: str) -> None:
    with pytest.raises(StoreError, match="is not the version of a release with these flists"):
        parse_manifest(manifest([CORE, WORK], version))


def test_a_version_with_a_set_has_flists() -> None:
    with pytest.raises(StoreError, match="with these flists"):
        parse_manifest(manifest([], VERSION))
