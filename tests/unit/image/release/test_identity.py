"""Identities: every input of a layer counts."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from image.lock.model import LockedWheel, ReleaseLock
from image.model import File
from image.recipe.recipe import Recipe
from image.release import inputs
from image.release.identity import digest, tree_identity
from image.release.inputs import Inputs, gather_inputs
from image.tree import Tree
from tests.helpers.debian import lock_package, make_lock

WHEEL = LockedWheel("one", "1", "one-1-py3-none-any.whl", 1, "0" * 64)
LOCK = ReleaseLock(make_lock(lock_package("a", b"1")), (), (WHEEL,))
NEWER = make_lock(lock_package("a", b"2"))


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make the inputs of a build small and fixed."""
    sources = Tree()
    sources.add("usr/lib/zero-os/x.py", File(b"x"))
    monkeypatch.setattr(inputs, "fetch_locked", lambda *_, **__: tmp_path)
    monkeypatch.setattr(inputs, "fetch_or_resolve", lambda *_, **__: (NEWER, tmp_path))
    monkeypatch.setattr(inputs, "compose", lambda _recipe: sources)
    return monkeypatch


def gather(
    recipe: Recipe | None = None, lock: ReleaseLock = LOCK, *, allow_unlocked: bool = False
) -> Inputs:
    recipe = recipe or Recipe("virt")
    return gather_inputs(recipe, lock, 1, lambda _text: None, allow_unlocked=allow_unlocked)


def test_the_tools_of_a_build_count(use: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use.setattr(inputs, "fetch_locked", lambda part, **_: tmp_path / part.packages[0].sha256)
    amd = gather()
    assert amd.tools == amd.packages
    arm = [gather(lock=replace(LOCK, tools=tools)) for tools in (LOCK.debian, NEWER)]
    assert len({one.identity for one in (amd, *arm)}) == 3
    assert arm[1].tools != arm[1].packages and arm[1].is_locked


def test_the_same_inputs_give_the_same_release(use: pytest.MonkeyPatch) -> None:
    assert gather().identity == gather().identity


def test_the_project_layer_depends_on_every_other_layer(use: pytest.MonkeyPatch) -> None:
    recipes: list[dict[str, Any]] = [{}, {"keys": "key"}, {"modules": ("fs/*",)}, {"debug": True}]
    seen = [gather(Recipe("virt", **fields)) for fields in recipes]
    for lock in (
        replace(LOCK, wheels=(replace(WHEEL, sha256="1" * 64),)),
        replace(LOCK, debian=NEWER),
    ):
        seen.append(gather(lock=lock))
    use.setattr(inputs, "base_version", lambda: "9.9")
    seen.append(gather())
    assert len({one.version for one in seen}) == len(seen)
    assert len({one.project_id for one in seen}) == len(seen)


# These count through the packages that they lead to, and through the sources.
INDIRECT = ("components", "packages", "files", "services", "firmware_absent", "modules_absent")


@pytest.mark.parametrize("field", sorted({f.name for f in fields(Recipe)} - set(INDIRECT)))
def test_every_field_of_a_recipe_gives_another_release(use: pytest.MonkeyPatch, field: str) -> None:
    plain = Recipe("virt")
    value = getattr(plain, field)
    other = (
        not value
        if isinstance(value, bool)
        else value + ("x" if isinstance(value, str) else ("x",))
    )
    values: dict[str, Any] = {field: other}
    assert gather(replace(plain, **values)).identity != gather().identity


def test_a_debug_release_says_so_in_its_version(use: pytest.MonkeyPatch) -> None:
    assert gather(Recipe("virt", debug=True)).version.endswith(".debug")
    assert not gather().version.endswith(".debug")


def test_the_time_of_a_lock_does_not_count(use: pytest.MonkeyPatch) -> None:
    later = replace(LOCK, debian=replace(LOCK.debian, snapshot="20991231T235959Z"))
    assert gather(lock=later).identity == gather().identity


def test_a_build_with_other_packages_than_the_locked_ones_says_so(use: pytest.MonkeyPatch) -> None:
    assert gather().is_locked
    unlocked = gather(allow_unlocked=True)
    assert not unlocked.is_locked
    assert unlocked.debian == NEWER
    assert unlocked.version != gather().version
    use.setattr(inputs, "fetch_or_resolve", lambda lock, **_: (lock, Path()))
    assert gather(allow_unlocked=True).is_locked


def test_boundaries_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    one, two = Tree(), Tree()
    one.add("a", File(b"", 0o644))
    two.add("a", File(b"", 0o755))
    assert tree_identity(one) != tree_identity(two)
