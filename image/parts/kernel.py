"""The kernel of a release and the layer of the initramfs with its modules.

The modules stay compressed, as in their package. Uncompressed modules would make the download a
tenth smaller, but use 100 MB more of a node's memory, delay PID 1 by 1.5 s (emulated, 2
processors), and take 15 times longer to compress during the build.
"""

from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.programs import run_program
from common.scratch import scratch
from image.errors import ImageError
from image.model import File
from image.parts.modules import close_modules
from image.parts.packages import read_entry, select_paths
from image.recipe import plan
from image.tree import Tree

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


def build_modules(archive: PackageArchive, version: str, target: Path) -> Tree:
    """Return the modules that a node needs, with modprobe's indexes."""
    base = f"{MODULES_FOLDER}/{version}"
    paths = select_paths(archive, [f"{base}/kernel/*"])
    chosen = close_modules(paths, plan.MODULES, plan.MODULES_WITHOUT, archive.read)
    tree = Tree()
    for path in [*chosen, *select_paths(archive, [f"{base}/modules.*"])]:
        tree.add(path, read_entry(archive, path))
    check_indexable(tree, base)
    for name, index in make_indexes(archive, tree, version, target).items():
        tree.add(f"{base}/{name}", File(index))
    return tree


def make_indexes(
    archive: PackageArchive, tree: Tree, version: str, target: Path
) -> dict[str, bytes]:
    """Return the files that the target's depmod writes for the modules in `tree`, by name."""
    with scratch("depmod") as root:
        archive.unpack([path for path, _ in tree.files()], root)
        (root / "lib").symlink_to("usr/lib")
        run_program(target, "usr/bin/kmod", ["-b", root, version], name="depmod")
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
