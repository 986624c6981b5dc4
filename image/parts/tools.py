"""The programs that a build runs, for the machine that builds: Python and depmod.

Nothing of a release for another architecture can be run. Byte code and the indexes of modules are
the same for every architecture.
"""

from collections.abc import Iterable
from pathlib import Path

from common.debian.architecture import AMD64
from common.debian.archive import PackageArchive
from image.errors import ImageError
from image.model import Directory
from image.parts.system import add_libraries, copy_files, select_stdlib
from image.recipe import plan
from image.tree import Tree

# Python's import system has the number of its byte code's version.
BYTE_CODE = f"{plan.STDLIB}/importlib/_bootstrap_external.py"


def unpack_tools(archive: PackageArchive, programs: Iterable[str], folder: Path) -> None:
    """Unpack Python, `programs` and their libraries into the empty `folder`.

    It takes half a second. A cached folder would have to be compared with the archive, which takes
    as long.
    """
    tree = Tree()
    copy_files(archive, [AMD64.loader, *programs, *select_stdlib(archive)], tree)
    add_libraries(archive, AMD64, tree, plan.LOADED_LIBRARIES)
    paths = [path for path, entry in tree.items() if not isinstance(entry, Directory)]
    archive.unpack(paths, folder)


def check_python(tools: PackageArchive, release: PackageArchive) -> None:
    """Raise `ImageError` if the tools' Python may write other byte code than the release reads."""
    if tools.read(BYTE_CODE) != release.read(BYTE_CODE):
        raise ImageError(
            "the Python that compiles is another version than that of the release",
            hint="zos image update",
        )
