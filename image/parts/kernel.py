"""The kernel of a release and the layer of the initramfs with its modules.

The modules stay compressed, as in their package. Measured with the 647 modules of an early `virt`
(54.8 MB raw, 10.2 MB as they are): raw in a layer of zstd 19 they are 9.3 MB, with zstd 22 and a
window of 64 MB 9.2 MB, with xz 9e and its filter for x86 8.9 MB. That saves 0.07 s of a download at
100 Mbit/s and 0.007 s at 1 Gbit/s, for 0.1 s (zstd) or 1.1 s (xz) of decompression and 44 MB of a
node's memory. For `metal` the memory would be 100 MB, and the build 15 times longer.
"""

from collections.abc import Iterable
from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.programs import run_program
from common.scratch import scratch
from image.errors import ImageError
from image.model import File
from image.parts.firmware import collect_firmware, free_microcode
from image.parts.modules import Info, below_kernel, close_modules
from image.parts.packages import read_entry, select_paths
from image.recipe.recipe import Recipe
from image.recipe.values import suggest
from image.tree import Tree, matches

MODULES_FOLDER = "usr/lib/modules"
# depmod's text versions of its indexes; modprobe reads the binary ones.
TEXT_INDEXES = ("modules.alias", "modules.symbols")


def find_kernel(archive: PackageArchive) -> str:
    """Return the version of the only kernel in `archive` ("6.12.57+deb13-amd64")."""
    versions = [
        path.removeprefix("boot/vmlinuz-") for path in select_paths(archive, ["boot/vmlinuz-*"])
    ]
    if len(versions) != 1:
        raise ImageError(f"cannot choose a kernel: the packages contain {versions or 'none'}")
    return versions[0]


def choose_modules(archive: PackageArchive, version: str, recipe: Recipe) -> dict[str, Info]:
    """Return the modules of a profile with what they say of themselves, by path."""
    base = f"{MODULES_FOLDER}/{version}"
    paths = select_paths(archive, [f"{base}/kernel/*"])
    check_patterns(recipe, paths)
    return close_modules(paths, recipe.modules, archive.read)


def check_patterns(recipe: Recipe, paths: Iterable[str]) -> None:
    """Raise `ImageError` for a glob of the profile that matches no module, unless it is known."""
    names = [below_kernel(path) for path in paths]
    for pattern in recipe.modules:
        if pattern.startswith("!") or pattern in recipe.modules_absent:
            continue
        if not any(matches(name, [pattern]) for name in names):
            near = suggest(pattern.rstrip("*."), names)
            raise ImageError(f"modules: the kernel has no module {pattern!r}{near}")


def build_modules(archive: PackageArchive, version: str, recipe: Recipe, tools: Path) -> Tree:
    """Return the modules that a node needs, with modprobe's indexes, and their firmware."""
    base = f"{MODULES_FOLDER}/{version}"
    chosen = choose_modules(archive, version, recipe)
    tree = Tree()
    for path in [*chosen, *select_paths(archive, [f"{base}/modules.*"])]:
        tree.add(path, read_entry(archive, path))
    check_indexable(tree, base)
    for name, index in make_indexes(archive, tree, version, tools).items():
        tree.add(f"{base}/{name}", File(index))
    if recipe.firmware:
        named = [name for info in chosen.values() for name in info.get("firmware", [])]
        tree.merge(collect_firmware(named, archive))
    if recipe.microcode:
        tree.merge(free_microcode())
    return tree


def make_indexes(
    archive: PackageArchive, tree: Tree, version: str, tools: Path
) -> dict[str, bytes]:
    """Return the files that depmod writes for the modules in `tree`, by name."""
    with scratch("depmod") as root:
        archive.unpack([path for path, _ in tree.files()], root)
        (root / "lib").symlink_to("usr/lib")
        run_program(tools, "usr/bin/kmod", ["-b", root, version], name="depmod")
        folder = root / MODULES_FOLDER / version
        made = [path for path in sorted(folder.iterdir()) if path.is_file()]
        return {
            path.name: path.read_bytes()
            for path in made
            if f"{MODULES_FOLDER}/{version}/{path.name}" not in tree
            and path.name not in TEXT_INDEXES
        }


def check_indexable(tree: Tree, base: str) -> None:
    """Raise `ImageError` unless the kernel package has the files that depmod needs."""
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        if f"{base}/{name}" not in tree:
            raise ImageError(f"cannot index the modules: the kernel package has no {name}")
