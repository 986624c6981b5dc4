"""Identities: every input of a layer counts."""

from pathlib import Path

import pytest

from image import cli
from image.model import File, Release
from image.release import build
from image.release.build import gather_inputs
from image.release.identity import digest, tree_identity
from image.tree import Tree


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the inputs of a build small and fixed; return its lock file of wheels."""
    path = tmp_path / "node.lock"
    path.write_text("one==1\n")
    sources = Tree()
    sources.add("usr/lib/zero-os/x.py", File(b"x"))
    monkeypatch.setattr(build, "LOCK", path)
    monkeypatch.setattr(build, "fetch_packages", lambda *_, **__: tmp_path)
    monkeypatch.setattr(build, "packages_identity", lambda _path: "packages")
    monkeypatch.setattr(build, "collect_sources", lambda: sources)
    return path


def gather(keys: str = "") -> build.Inputs:
    return gather_inputs(keys, 1, lambda _text: None)


def test_the_same_inputs_give_the_same_release(lock: Path) -> None:
    assert gather() == gather()


def test_the_project_layer_depends_on_every_other_layer(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [gather(), gather("key")]
    lock.write_text("one==2\n")
    seen.append(gather())
    monkeypatch.setattr(build, "packages_identity", lambda _path: "newer packages")
    seen.append(gather())
    monkeypatch.setattr(build, "base_version", lambda: "9.9")
    seen.append(gather())
    assert len({inputs.version for inputs in seen}) == len(seen)
    assert len({inputs.project_id for inputs in seen}) == len(seen)


def test_refresh_fetches_the_newest_packages(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(_packages: object, *, refresh: bool, progress: object) -> Path:
        asked.append(refresh)
        return tmp_path

    def make(_output: Path, inputs: build.Inputs, *_: object) -> Release:
        return Release(tmp_path, inputs.version, "6.12", {})

    monkeypatch.setattr(build, "fetch_packages", fetch)
    monkeypatch.setattr(build, "make_release", make)
    for words in (["--refresh"], []):
        assert cli.main(["build", "--output", str(tmp_path / "out"), *words], "zos image") == 0
    assert asked == [True, False]


def test_boundaries_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    one, two = Tree(), Tree()
    one.add("a", File(b"", 0o644))
    two.add("a", File(b"", 0o755))
    assert tree_identity(one) != tree_identity(two)
