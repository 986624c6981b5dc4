"""Chooses the Python modules of a release: scans candidates with the build's Python."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.debian.programs import run_program
from common.scratch import scratch
from common.sealed import read_sealed, write_sealed
from image.parts import scan
from image.parts.reach import Import, Module, module_of, reach
from image.recipe import python
from image.recipe.kind import Kind
from image.recipe.plan import PYTHON
from image.tree import Tree

Known = dict[str, list[Import]]


def scan_modules(tree: Tree, tools: Path, known: Known | None = None) -> dict[str, Module]:
    """Return the modules of `tree` by name; Python sources before compiled ones.

    `known` has the imports of sources by their SHA-256: what is there is not scanned, and what is
    scanned is added.
    """
    known = {} if known is None else known
    found: dict[str, tuple[str, bool]] = {}
    for path, _ in tree.files():
        if (place := module_of(path, python.ROOTS)) and (
            place[0] not in found or path.endswith(".py")
        ):
            found[place[0]] = (path, place[1])
    sources = sorted(path for path, _ in found.values() if path.endswith(".py"))
    digests = {path: hashlib.sha256(tree.content(path)).hexdigest() for path in sources}
    new = [path for path in sources if digests[path] not in known]
    if new:
        scanned = _scan(tree, new, tools)
        known |= {digests[path]: one for path, one in zip(new, scanned, strict=True)}
    return {
        name: Module(path, is_package, tuple(known[digests[path]] if path in digests else ()))
        for name, (path, is_package) in found.items()
    }


def choose_modules(modules: Mapping[str, Module], starts: Iterable[str], kind: Kind) -> list[str]:
    """Return the paths of the modules that a node reaches from `starts`, sorted."""
    names = reach(modules, [*starts, *python.STARTS], kind.hidden, kind.barred)
    return sorted(modules[name].path for name in names)


def load_known(path: Path) -> Known:
    """Return the imports of sources that an earlier build has scanned."""
    data = read_sealed(path)
    rows = json.loads(data) if data else {}
    return {digest: [_decode(one) for one in imports] for digest, imports in rows.items()}


def store_known(path: Path, tree: Tree, known: Known) -> None:
    """Keep the imports of the sources in `tree` for the next build."""
    there = {hashlib.sha256(file.content).hexdigest() for _, file in tree.files()}
    rows = {digest: imports for digest, imports in known.items() if digest in there}
    write_sealed(path, json.dumps(rows).encode())


def encode_modules(modules: Mapping[str, Module]) -> bytes:
    """Return modules as JSON, for a cache."""
    return json.dumps(modules).encode()


def decode_modules(data: bytes) -> dict[str, Module]:
    """Return the modules that `encode_modules` wrote."""
    return {
        name: Module(path, is_package, tuple(_decode(one) for one in imports))
        for name, (path, is_package, imports) in json.loads(data).items()
    }


def _decode(row: tuple[int, str, list[str]]) -> Import:
    level, module, names = row
    return Import(level, module, tuple(names))


def _scan(tree: Tree, paths: list[str], tools: Path) -> list[list[Import]]:
    """Return the imports of the sources at `paths`."""
    with scratch("scan") as folder:
        files = []
        for number, path in enumerate(paths):
            file = folder / f"{number}.py"
            file.write_bytes(tree.content(path))
            files.append(str(file))
        program = Path(scan.__file__).read_text()
        out = run_program(
            tools,
            PYTHON,
            ["-S", "-s", "-P", "-B", "-c", program],
            env={"PYTHONHOME": str(tools / "usr")},
            stdin=json.dumps(files).encode(),
        )
    return [[_decode(row) for row in rows] for rows in json.loads(out)]
