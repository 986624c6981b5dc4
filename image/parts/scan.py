"""Lists what Python sources import: stdin is JSON [path, ...], stdout JSON [[import, ...], ...].

Runs in the build's Python, whose syntax the sources have. An import is [level, module, names], as
in "from ..module import names". Imports for type checking, and those of a module that is run as a
program, do not count.
"""

import ast
import json
import sys

NOT_RUN = ("TYPE_CHECKING", "__name__")


def main() -> None:
    """Scan the sources and print their imports."""
    found = []
    for path in json.load(sys.stdin):
        with open(path, "rb") as stream:
            found.append(list_imports(stream.read()))
    json.dump(found, sys.stdout)


def list_imports(source: bytes) -> list[tuple[int, str, list[str]]]:
    """Return the imports of one module, also those within functions."""
    found: list[tuple[int, str, list[str]]] = []
    todo: list[ast.AST] = [ast.parse(source)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and names_in(node.test) & set(NOT_RUN):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            found += [(0, alias.name, []) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or "", [alias.name for alias in node.names]))
        todo += ast.iter_child_nodes(node)
    return found


def names_in(test: ast.expr) -> set[str]:
    """Return the names and attributes that a condition reads."""
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(test) if isinstance(node, ast.Attribute)}


if __name__ == "__main__":
    main()
