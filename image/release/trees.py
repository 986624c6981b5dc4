"""The parts that a release's initramfs and the flist `zos-core` both have, as trees."""

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive, open_archive
from image.parts.project import build_project
from image.parts.system import build_system, python_libraries, take_files
from image.parts.tools import check_python, unpack_tools
from image.release.inputs import Inputs, Progress, choose_python, unpack_all_wheels
from image.tree import Tree


@dataclass(frozen=True)
class Trees:
    """Makes the trees out of inputs. `place` is an empty folder for this build."""

    inputs: Inputs
    archive: PackageArchive
    place: Path
    progress: Progress

    @functools.cached_property
    def tools(self) -> Path:
        """The folder with the programs that a build runs; unpacked when first asked for."""
        inputs = self.inputs
        is_same = inputs.tools == inputs.packages
        opened = contextlib.nullcontext(self.archive) if is_same else open_archive(inputs.tools)
        with opened as programs:
            check_python(programs, self.archive)
            unpack_tools(programs, inputs.recipe.kind.tools, self.place / "tools")
        return self.place / "tools"

    @functools.cached_property
    def chosen(self) -> list[str]:
        """The paths of the Python modules that a node reaches."""
        return choose_python(self.inputs, self.archive, lambda: self.tools, self.progress)

    def system(self) -> Tree:
        """Return what is from packages and wheels."""
        recipe = self.inputs.recipe
        libraries = python_libraries(self.archive, unpack_all_wheels(self.inputs))
        self.progress("byte-compiling Python and the wheels")
        extra = take_files(self.archive, recipe)
        chosen = frozenset(self.chosen)
        return build_system(self.archive, recipe, libraries, chosen, extra, self.tools)

    def project(self) -> Tree:
        """Return what is of this project."""
        inputs = self.inputs
        chosen = frozenset(self.chosen)
        return build_project(inputs.sources, inputs.recipe, chosen, inputs.about, self.tools)
