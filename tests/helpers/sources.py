"""The project's own modules and their imports, read from the sources with `ast`."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.helpers.checkout import TOP

PACKAGES = (
    "bootstrap_server",
    "common",
    "core",
    "flist",
    "image",
    "node",
    "qemu",
    "registry",
    "serving",
    "zdb",
    "zero_os",
    "zinit",
    "zstor",
)


def source_files(*folders: str) -> list[Path]:
    """Return the Python files below `folders`, which are relative to the checkout."""
    return sorted(path for folder in folders for path in (TOP / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name of the module at `path`; a package has its folder's."""
    parts = path.relative_to(TOP).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    """Return every module of the project by its dotted name, tests and benchmarks left out."""
    return {module_name(path): path for path in source_files(*PACKAGES)}


def imported_names(path: Path) -> Iterator[str]:
    """Yield what the file at `path` imports, anywhere in it, as full dotted names.

    `from a.b import c` gives `a.b.c`, whether that is a module or a name in one.
    """
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def own_imports(path: Path) -> set[str]:
    """Return the project's modules that the file at `path` imports."""
    found = set()
    for name in imported_names(path):
        module = name if name in modules() else name.rpartition(".")[0]
        if module in modules():
            found.add(module)
    return found - {module_name(path)}
