"""Identities: every input of a layer counts."""

from dataclasses import replace
from pathlib import Path

import pytest

from image.lock.model import LockedWheel, ReleaseLock
from image.model import File
from image.release import build
from image.release.build import gather_inputs
from image.release.identity import digest, tree_identity
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
    monkeypatch.setattr(build, "load_lock", lambda _: LOCK)
    monkeypatch.setattr(build, "fetch_locked", lambda *_, **__: tmp_path)
    monkeypatch.setattr(build, "fetch_or_resolve", lambda *_, **__: (NEWER, tmp_path))
    monkeypatch.setattr(build, "collect_sources", lambda: sources)
    return monkeypatch


def gather(keys: str = "", *, allow_unlocked: bool = False) -> build.Inputs:
    return gather_inputs(keys, 1, lambda _text: None, allow_unlocked=allow_unlocked)


def test_the_same_inputs_give_the_same_release(use: pytest.MonkeyPatch) -> None:
    assert gather() == gather()


def test_the_project_layer_depends_on_every_other_layer(use: pytest.MonkeyPatch) -> None:
    seen = [gather(), gather("key")]
    for lock in (
        replace(LOCK, wheels=(replace(WHEEL, sha256="1" * 64),)),
        replace(LOCK, debian=NEWER),
    ):
        use.setattr(build, "load_lock", lambda _, lock=lock: lock)
        seen.append(gather())
    use.setattr(build, "base_version", lambda: "9.9")
    seen.append(gather())
    assert len({inputs.version for inputs in seen}) == len(seen)
    assert len({inputs.project_id for inputs in seen}) == len(seen)


def test_the_time_of_a_lock_does_not_count(use: pytest.MonkeyPatch) -> None:
    first = gather()
    later = replace(LOCK, debian=replace(LOCK.debian, snapshot="20991231T235959Z"))
    use.setattr(build, "load_lock", lambda _: later)
    assert gather().identity == first.identity


def test_a_build_with_other_packages_than_the_locked_ones_says_so(use: pytest.MonkeyPatch) -> None:
    assert gather().is_locked
    unlocked = gather(allow_unlocked=True)
    assert not unlocked.is_locked
    assert unlocked.debian == NEWER
    assert unlocked.version != gather().version
    use.setattr(build, "fetch_or_resolve", lambda lock, **_: (lock, Path()))
    assert gather(allow_unlocked=True).is_locked


def test_boundaries_count_in_a_digest() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    one, two = Tree(), Tree()
    one.add("a", File(b"", 0o644))
    two.add("a", File(b"", 0o755))
    assert tree_identity(one) != tree_identity(two)
