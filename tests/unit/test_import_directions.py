"""The import directions of the architecture, read from the sources with `ast`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP

PACKAGES = {
    "bootstrap_server",
    "common",
    "flist",
    "image",
    "node",
    "qemu",
    "serving",
    "zero_os",
    "zinit",
}
ALLOWED: dict[str, set[str]] = {
    "common": set(),
    "serving": {"common"},
    "bootstrap_server": {"common", "serving"},
    "flist": {"common", "serving"},
    "image": {"common"},
    "qemu": {"common"},
    "zinit": {"common"},
    "node": {"common", "flist", "zinit.client"},
    "zero_os": PACKAGES,
}
# PID 1 must never share its children with a library, nor pay for one it does not need.
FORBIDDEN_IN_ZINIT = {"asyncio", "subprocess", "multiprocessing", "threading", "logging"}


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the full name of every module that the file at `path` imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield node.module or ""


def is_allowed(module: str, own: str) -> bool:
    """Tell whether a file of package `own` may import `module`."""
    package = module.partition(".")[0]
    if package not in PACKAGES or package == own or module.startswith("qemu.qmp"):
        return True
    return any(module == name or module.startswith(f"{name}.") for name in ALLOWED[own])


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_packages_import_only_what_they_may(package: str) -> None:
    files = sorted((TOP / package).rglob("*.py"))
    assert files, f"{package} has no sources"
    wrong = [
        f"{file.relative_to(TOP)} imports {module}"
        for file in files
        for module in imported_modules(file)
        if not is_allowed(module, package)
    ]
    assert wrong == []


def test_zinit_keeps_to_the_standard_library_and_yaml() -> None:
    third_party = {"yaml", "common", "zinit"}
    for file in sorted((TOP / "zinit").rglob("*.py")):
        for module in imported_modules(file):
            root = module.partition(".")[0]
            assert root not in FORBIDDEN_IN_ZINIT, f"{file} imports {module}"
            assert root in third_party or is_standard(root), f"{file} imports {module}"


def is_standard(root: str) -> bool:
    """Tell whether `root` is a module of Python's library."""
    return root in sys.stdlib_module_names
