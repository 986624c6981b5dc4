"""Identities: every input of a layer counts."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from image import cli
from image.model import File, Release
from image.recipe.recipe import Recipe
from image.release import build, inputs
from image.release.identity import digest, tree_identity
from image.release.inputs import Inputs, gather_inputs
from image.tree import Tree


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the inputs of a build small and fixed; return its lock file of wheels."""
    path = tmp_path / "node.lock"
    path.write_text("one==1\n")
    sources = Tree()
    sources.add("usr/lib/zero-os/x.py", File(b"x"))
    monkeypatch.setattr(inputs, "LOCK", path)
    monkeypatch.setattr(inputs, "fetch_packages", lambda *_, **__: tmp_path)
    monkeypatch.setattr(inputs, "packages_identity", lambda _path: "packages")
    monkeypatch.setattr(inputs, "compose", lambda _recipe: sources)
    return path


def gather(**fields: Any) -> Inputs:
    return gather_inputs(Recipe("virt", **fields), 1, lambda _text: None)


def test_the_same_inputs_give_the_same_release(lock: Path) -> None:
    assert gather().identity == gather().identity


def test_the_project_layer_depends_on_every_other_layer(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [gather(), gather(keys="key"), gather(modules=("fs/*",)), gather(debug=True)]
    lock.write_text("one==2\n")
    seen.append(gather())
    monkeypatch.setattr(inputs, "packages_identity", lambda _path: "newer packages")
    seen.append(gather())
    monkeypatch.setattr(inputs, "base_version", lambda: "9.9")
    seen.append(gather())
    assert len({one.version for one in seen}) == len(seen)
    assert len({one.project_id for one in seen}) == len(seen)


# These count through the packages that they lead to, and through the sources.
INDIRECT = ("components", "packages", "files", "services", "firmware_absent")


@pytest.mark.parametrize("field", sorted({f.name for f in fields(Recipe)} - set(INDIRECT)))
def test_every_field_of_a_recipe_gives_another_release(lock: Path, field: str) -> None:
    plain = Recipe("virt")
    value = getattr(plain, field)
    other = (
        not value
        if isinstance(value, bool)
        else value + ("x" if isinstance(value, str) else ("x",))
    )
    values: dict[str, Any] = {field: other}
    changed = gather_inputs(replace(plain, **values), 1, lambda _text: None)
    assert changed.identity != gather().identity


def test_a_debug_release_says_so_in_its_version(lock: Path) -> None:
    assert gather(debug=True).version.endswith(".debug")
    assert not gather().version.endswith(".debug")


def test_refresh_fetches_the_newest_packages(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(_packages: object, *, components: str, refresh: bool, progress: object) -> Path:
        asked.append((components, refresh))
        return tmp_path

    def make(_output: Path, inputs: Inputs, _progress: object) -> Release:
        return Release(tmp_path, inputs.version, "6.12", {})

    monkeypatch.setattr(inputs, "fetch_packages", fetch)
    monkeypatch.setattr(build, "make_release", make)
    for words in (["--refresh"], ["--profile", "metal"]):
        assert cli.main(["build", "--output", str(tmp_path / "out"), *words], "zos image") == 0
    assert asked == [("main", True), ("main,non-free-firmware", False)]


def test_boundaries_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    one, two = Tree(), Tree()
    one.add("a", File(b"", 0o644))
    two.add("a", File(b"", 0o755))
    assert tree_identity(one) != tree_identity(two)
