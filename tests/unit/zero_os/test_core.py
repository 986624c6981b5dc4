"""`zos boot` puts zos-core beside the workload: packed, signed, and each time the same."""

from pathlib import Path
from typing import Any

import pytest

from flist.format.signing.keys import load_public_keys
from flist.format.signing.trust import verify_flist
from image.core.manifest import TAR, Core
from image.formats.tar import write_tar
from image.model import File
from image.tree import Tree
from zero_os.boot import core
from zero_os.boot.core import CORE_NAME, add_core
from zero_os.boot.hub import LocalHub, make_signing_key
from zero_os.boot.options import parse_options


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """Return a hub without flists; what is built is an archive with one file."""
    tree = Tree()
    tree.add("usr/bin/zos", File(b"#!/usr/bin/python3\n" * 100, 0o755))

    def build_core(output: Path, **_: Any) -> Core:
        output.mkdir(exist_ok=True)
        (output / TAR).write_bytes(write_tar(tree, 1))
        return Core(output, "1", "i", {})

    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(core, "build_core", build_core)
    key = make_signing_key().with_suffix(".pub")
    for name in ("flists/tf-zos", "blocks"):
        (tmp_path / "hub" / name).mkdir(parents=True)
    return LocalHub(tmp_path / "hub", key, tmp_path / "flist", 1)


def test_the_flist_is_signed_under_the_name_that_nodes_ask_for(hub: LocalHub) -> None:
    found = add_core(hub, print)
    assert found.total_bytes == 1 + len(read(hub, TAR))
    flist = hub.root / "flists" / "tf-zos" / "development-core.fl"
    text = flist.with_suffix(".fl.sig").read_text()
    verify_flist(flist, text, CORE_NAME, load_public_keys(hub.key_file))
    assert len(list((hub.root / "blocks").glob("*/*"))) == 1


def read(hub: LocalHub, name: str) -> bytes:
    (place,) = hub.root.parent.glob(f"cache/boot/*/core/{name}")
    return place.read_bytes()


def test_the_same_archive_gives_the_same_flist_and_lost_blocks_come_back(hub: LocalHub) -> None:
    add_core(hub, print)
    flist = hub.root / "flists" / f"{CORE_NAME}.fl"
    first = flist.read_bytes()
    (block,) = (hub.root / "blocks").glob("*/*")
    block.unlink()
    add_core(hub, print)
    assert flist.read_bytes() == first
    assert block.exists()


def test_it_can_be_left_out() -> None:
    assert parse_options([], "zos boot").has_core
    assert not parse_options(["--no-core"], "zos boot").has_core
