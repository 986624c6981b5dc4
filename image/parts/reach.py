"""Which Python modules a node can reach: the closure of imports from its programs. Pure.

Imports within functions count. An import by a computed name, or by C code, is not seen: the tables
of `image.recipe.python` list those, and which imports are not followed.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from common.debian.architecture import ARCHITECTURES
from image.tree import matches

EXTENSION_TAGS = (
    *(f".cpython-313-{one.triplet}.so" for one in ARCHITECTURES.values()),
    ".abi3.so",
    ".so",
)


class Import(NamedTuple):
    """ "import module", or "from ..module import names" with level 2."""

    level: int
    module: str
    names: tuple[str, ...]


class Module(NamedTuple):
    """A module that could be in the image: its path, its imports."""

    path: str
    is_package: bool
    imports: tuple[Import, ...]


def module_of(path: str, roots: Iterable[str]) -> tuple[str, bool] | None:
    """Return a file's module and whether it is a package; None for another kind of file."""
    root = next((root for root in roots if path.startswith(f"{root}/")), None)
    name = path.removeprefix(f"{root}/")
    for suffix in (".py", *EXTENSION_TAGS):
        if root is not None and name.endswith(suffix):
            stem = name.removesuffix(suffix)
            is_package = stem.endswith("/__init__")
            return stem.removesuffix("/__init__").replace("/", "."), is_package
    return None


def reach(
    modules: Mapping[str, Module],
    starts: Iterable[str],
    hidden: Mapping[str, tuple[str, ...]],
    barred: Iterable[str],
) -> set[str]:
    """Return the names of all modules that `starts` reach; a start may be a glob.

    `hidden` maps a module to the globs of those that it imports unseen. A module that a glob of
    `barred` matches is not followed to.
    """
    walls = list(barred)
    todo = [name for start in starts for name in _expand(start, modules)]
    done: set[str] = set()
    while todo:
        name = todo.pop()
        if name in done or name not in modules or matches(name, walls):
            continue
        done.add(name)
        todo += _parents(name)
        for one in modules[name].imports:
            todo += _targets(one, name, modules)
        for pattern in hidden.get(name, ()):
            todo += _expand(pattern, modules)
    return done


def _expand(pattern: str, modules: Mapping[str, Module]) -> list[str]:
    if "*" not in pattern:
        return [pattern]
    return [name for name in modules if matches(name, [pattern])]


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _targets(one: Import, name: str, modules: Mapping[str, Module]) -> list[str]:
    """Return the modules that an import of module `name` may load."""
    base = one.module
    if one.level:
        package = name if modules[name].is_package else name.rpartition(".")[0]
        for _ in range(one.level - 1):
            package = package.rpartition(".")[0]
        base = f"{package}.{base}".rstrip(".")
    below = [f"{base}.{item}" for item in one.names]
    if "*" in one.names:
        below = _expand(f"{base}.*", modules)
    return [base, *below]
