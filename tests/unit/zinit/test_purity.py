"""`zinit/life` and `zinit/files` touch neither the operating system nor the clock."""

import ast
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP

FORBIDDEN = {"fcntl", "io", "os", "pathlib", "posix", "select", "signal", "socket", "stat", "time"}
SHELL = TOP / "zinit" / "files" / "folder.py"  # reads the service files
SOURCES = [
    path
    for room in ("files", "life")
    for path in sorted((TOP / "zinit" / room).glob("*.py"))
    if path != SHELL
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_pure_modules_import_nothing_that_does_io(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
        elif isinstance(node, ast.Name):
            assert node.id != "open", f"{path.name}:{node.lineno}"
    assert not {name.partition(".")[0] for name in imported} & FORBIDDEN
