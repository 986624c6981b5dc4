"""Byte-compiles the Python sources of a tree with the build's Python.

The result is "unchecked hash-based": Python loads it without looking at the source, and its bytes
depend only on the source and its path. One process compiles everything in a fixed order with a
fixed hash seed, since marshal's output depends on which strings were interned before.
"""

import json
from pathlib import Path

from common.debian.programs import run_program
from common.scratch import scratch
from image.model import File
from image.recipe.plan import PYTHON
from image.tree import Tree

# Runs in the build's Python; stdin is JSON: [[source, name in tracebacks, output], ...]. With an
# argument, docstrings are left out; assert statements stay, unlike with Python's -OO.
COMPILER = """
import ast, json, sys
from importlib._bootstrap_external import _code_to_hash_pyc
from importlib.util import source_hash

def without_docstrings(tree):
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.copy_location(ast.Pass(), node.body[0])]
    return tree

for source, name, output in json.load(sys.stdin):
    with open(source, "rb") as stream:
        text = stream.read()
    code = without_docstrings(ast.parse(text)) if len(sys.argv) > 1 else text
    code = compile(code, name, "exec", dont_inherit=True)
    with open(output, "wb") as stream:
        stream.write(_code_to_hash_pyc(code, source_hash(text), False))
"""


def compile_tree(tree: Tree, tools: Path, *, keep_sources: bool) -> Tree:
    """Return `tree` with its .py files byte-compiled by the Python below `tools`.

    With `keep_sources` the compiled files are added in __pycache__. Without, they replace the
    sources and have no docstrings, and tracebacks have line numbers but no source lines.
    """
    sources = [(path, file) for path, file in tree.files() if path.endswith(".py")]
    compiled = _compile(sources, tools, [] if keep_sources else ["without docstrings"])
    result = Tree()
    for path, entry in tree.items():
        if path not in compiled:
            result.add(path, entry)
        elif keep_sources:
            folder, _, name = path.rpartition("/")
            result.add(path, entry)
            cached = f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-313.pyc"
            result.add(cached, File(compiled[path]))
        else:
            result.add(f"{path}c", File(compiled[path]))
    return result


def _compile(sources: list[tuple[str, File]], tools: Path, words: list[str]) -> dict[str, bytes]:
    with scratch("compile") as folder:
        rows = []
        for number, (path, file) in enumerate(sources):
            source = folder / f"{number}.py"
            source.write_bytes(file.content)
            rows.append([str(source), f"/{path}", str(folder / f"{number}.pyc")])
        env = {"PYTHONHASHSEED": "0", "PYTHONHOME": str(tools / "usr")}
        flags = ["-S", "-s", "-P", "-B", "-c", COMPILER, *words]
        run_program(tools, PYTHON, flags, env=env, stdin=json.dumps(rows).encode())
        return {
            path: (folder / f"{number}.pyc").read_bytes()
            for number, (path, _) in enumerate(sources)
        }
