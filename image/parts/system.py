"""The layer of the initramfs from packages: libraries, Python, tools, certificates."""

from collections.abc import Container, Iterable
from dataclasses import replace
from pathlib import Path

from common.debian.architecture import Architecture
from common.debian.archive import PackageArchive
from image.errors import ImageError
from image.formats.elf import is_elf, read_needed, strip_unloaded
from image.model import Directory, File, Symlink
from image.parts.bytecode import compile_tree
from image.parts.packages import read_entry, select_paths
from image.parts.reach import module_of
from image.recipe import plan, python
from image.recipe.gate import check_paths
from image.recipe.recipe import Recipe, is_chosen
from image.tree import Tree


def build_system(
    archive: PackageArchive,
    recipe: Recipe,
    libraries: Tree,
    chosen: Container[str],
    extra: Tree,
    tools: Path,
) -> Tree:
    """Return the whole layer: skeleton, programs, byte-compiled Python, libraries.

    Of the Python modules in `libraries` only those at the paths `chosen` are included. `extra` is
    what the profile takes out of packages.
    """
    tree = build_skeleton(recipe)
    files = plan.system_files(recipe.target, recipe.kind.system_files)
    copy_files(archive, select_paths(archive, files), tree)
    tree.add(plan.CERTIFICATE_BUNDLE, File(bundle_certificates(archive)))
    tree.merge(extra)
    tree.merge(compile_tree(prune(libraries, chosen), tools, keep_sources=False))
    add_libraries(archive, recipe.target, tree, recipe.kind.libraries)
    return strip_files(tree)


def python_libraries(archive: PackageArchive, wheels: Tree) -> Tree:
    """Return all modules that a release could include: standard library, packages', wheels'."""
    tree = Tree()
    tree.merge(wheels)
    copy_files(archive, select_stdlib(archive), tree)
    below = [f"{python.DEBIAN_FOLDER}/{pattern}" for pattern in python.DEBIAN_MODULES]
    for path in select_paths(archive, below):
        entry = read_entry(archive, path)
        if isinstance(entry, File):
            tree.add(f"{plan.PROJECT}/{path.removeprefix(python.DEBIAN_FOLDER)[1:]}", entry)
    return tree


def prune(libraries: Tree, chosen: Container[str]) -> Tree:
    """Return the modules at the paths `chosen`, and wheels' other files."""
    tree = Tree()
    for path, file in libraries.files():
        is_other = path.startswith(plan.PROJECT) and module_of(path, python.ROOTS) is None
        if path in chosen or is_other:
            tree.add(path, file)
    return tree


def split_system(tree: Tree) -> list[Tree]:
    """Return the layer in two: what /init needs, and the Python packages, which it does not."""
    parts = [Tree(), Tree()]
    for path, entry in tree.items():
        parts[path.startswith(f"{plan.PROJECT}/")].add(path, entry)
    return parts


def take_files(archive: PackageArchive, recipe: Recipe) -> Tree:
    """Return what the profile takes out of packages; a glob without a file is an error."""
    for pattern in recipe.package_files:
        if not select_paths(archive, [pattern.removeprefix("!")]):
            raise ImageError(f"package_files: the packages have no file {pattern}")
    paths = [path for path in archive.paths if is_chosen(path, recipe.package_files)]
    check_paths(recipe, paths)
    tree = Tree()
    copy_files(archive, paths, tree)
    return tree


def build_skeleton(recipe: Recipe) -> Tree:
    """Return the directories, links, device nodes and small files that no package contains."""
    tree = Tree()
    for path, mode in recipe.kind.directories.items():
        tree.add(path, Directory(mode))
    for path, leads_to in plan.symlinks(recipe.target, recipe.kind.symlinks).items():
        tree.add(path, Symlink(leads_to))
    for path, device in recipe.kind.devices.items():
        tree.add(path, device)
    for path, text in recipe.kind.small_files.items():
        tree.add(path, File(text.encode()))
    return tree


def select_stdlib(archive: PackageArchive) -> list[str]:
    """Return the paths of the standard library's modules."""
    return select_paths(
        archive, [f"{plan.STDLIB}/*.py", f"{plan.STDLIB}/*.so"], plan.STDLIB_WITHOUT
    )


def copy_files(archive: PackageArchive, paths: list[str], tree: Tree) -> None:
    """Add the entries at `paths`, except directories, which their files imply."""
    for path in paths:
        entry = read_entry(archive, path)
        if not isinstance(entry, Directory):
            tree.add(path, entry)


def bundle_certificates(archive: PackageArchive) -> bytes:
    """Return the trusted certificate authorities as one PEM file."""
    paths = select_paths(archive, [plan.CERTIFICATES])
    if not paths:
        raise ImageError("cannot find any certificate authority among the packages")
    return b"".join(archive.read(path).rstrip(b"\n") + b"\n" for path in paths)


def add_libraries(
    archive: PackageArchive, target: Architecture, tree: Tree, loaded: Iterable[str]
) -> None:
    """Add every shared library that is `loaded` by name, or that a file of `tree` or another
    library needs.

    Libraries in wheels are already in the tree, under their names.
    """
    present = {path.rpartition("/")[2] for path, _ in tree.files()}
    todo = list(loaded)
    for _, file in tree.files():
        todo += needed_libraries(file)
    while todo:
        name = todo.pop()
        if name in present:
            continue
        present.add(name)
        todo += needed_libraries(_add_library(archive, target, name, tree))


def strip_files(tree: Tree) -> Tree:
    """Return `tree` with programs and libraries stripped to their loaded parts (16 MB less)."""
    result = Tree()
    for path, entry in tree.items():
        if isinstance(entry, File) and is_elf(entry.content):
            entry = replace(entry, content=strip_unloaded(entry.content))
        result.add(path, entry)
    return result


def needed_libraries(file: File) -> list[str]:
    """Return the libraries that `file` needs; none if it is not an ELF file."""
    return read_needed(file.content) if is_elf(file.content) else []


def _add_library(archive: PackageArchive, target: Architecture, name: str, tree: Tree) -> File:
    path = f"{target.libraries}/{name}"
    if path not in archive:
        raise ImageError(f"cannot find the library {name} among the packages")
    entry = read_entry(archive, path)
    if isinstance(entry, Symlink):
        tree.add(path, entry)
        path = f"{target.libraries}/{entry.target}"
        entry = read_entry(archive, path)
    if not isinstance(entry, File):
        raise ImageError(f"cannot use the library {name}: /{path} is not a file")
    if path not in tree:
        tree.add(path, entry)
    return entry
