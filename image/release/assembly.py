"""Assembles the initramfs of a release out of its layers, each from the cache if possible."""

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive, open_archive
from image.formats.cpio import write_archive
from image.parts.firmware import collect_microcode
from image.parts.kernel import build_modules
from image.parts.layers import cached_layer, pack_layer
from image.parts.project import build_project, last_file
from image.parts.system import build_system, python_libraries, split_system, take_files
from image.parts.tools import check_python, unpack_tools
from image.release.identity import digest
from image.release.inputs import Inputs, Progress, choose_python, unpack_all_wheels
from image.tree import Tree


@dataclass(frozen=True)
class Assembly:
    """One initramfs; every time in it is `mtime`. `place` is an empty folder for this build."""

    inputs: Inputs
    archive: PackageArchive
    kernel: str
    mtime: int
    place: Path
    progress: Progress

    def initramfs(self) -> bytes:
        """Return the whole initramfs.

        What /init needs comes first: where memory ends later, it can say so.
        """
        inputs = self.inputs
        parts = [
            *([self._write(collect_microcode(self.archive))] if inputs.recipe.microcode else []),
            self._layer("project", inputs.identity, "Zero-OS itself", self._project),
            self._layer("system", self._system_id(), "libraries and Python", self._system),
            self._layer("modules", inputs.modules_id, "kernel modules", self._modules),
            pack_layer(self._write(last_file()), inputs.level),
        ]
        return b"".join(parts)

    @functools.cached_property
    def _tools(self) -> Path:
        """The folder with the programs that a build runs; unpacked when first asked for."""
        is_same = self.inputs.tools == self.inputs.packages
        opened = (
            contextlib.nullcontext(self.archive) if is_same else open_archive(self.inputs.tools)
        )
        with opened as programs:
            check_python(programs, self.archive)
            unpack_tools(programs, self.place / "tools")
        return self.place / "tools"

    @functools.cached_property
    def _chosen(self) -> list[str]:
        """The paths of the Python modules that a node reaches."""
        return choose_python(self.inputs, self.archive, lambda: self._tools, self.progress)

    def _system_id(self) -> str:
        return self.inputs.system_id(self._chosen)

    def _modules(self) -> list[Tree]:
        return [build_modules(self.archive, self.kernel, self.inputs.recipe, self._tools)]

    def _system(self) -> list[Tree]:
        recipe = self.inputs.recipe
        libraries = python_libraries(self.archive, unpack_all_wheels(self.inputs))
        self.progress("byte-compiling Python and the wheels")
        extra = take_files(self.archive, recipe)
        chosen = frozenset(self._chosen)
        return split_system(
            build_system(self.archive, recipe.target, libraries, chosen, extra, self._tools)
        )

    def _project(self) -> list[Tree]:
        inputs = self.inputs
        chosen = frozenset(self._chosen)
        return [build_project(inputs.sources, inputs.recipe, chosen, inputs.about, self._tools)]

    def _layer(self, name: str, identity: str, what: str, make: Callable[[], list[Tree]]) -> bytes:
        def packed() -> bytes:
            self.progress(f"choosing {what}")
            return self._compress(name, b"".join(map(self._write, make())), what)

        return cached_layer(name, identity, packed)

    def _compress(self, name: str, data: bytes, what: str) -> bytes:
        """Return `data` compressed; the same data is compressed once, whatever code made it."""

        def compress() -> bytes:
            size = f"{len(data) / 1e6:.1f}"
            self.progress(f"compressing {what} ({size} MB)")
            packed = pack_layer(data, self.inputs.level)
            self.progress(f"compressed {what} from {size} to {len(packed) / 1e6:.1f} MB")
            return packed

        return cached_layer(f"packed-{name}", digest(data, str(self.inputs.level)), compress)

    def _write(self, tree: Tree) -> bytes:
        return write_archive(tree, self.mtime)
