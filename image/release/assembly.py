"""Assembles the initramfs of a release out of its layers, each from the cache if possible."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive
from image.formats.cpio import write_archive
from image.parts.firmware import collect_microcode
from image.parts.kernel import build_modules
from image.parts.layers import cached_layer, pack_layer
from image.parts.project import last_file
from image.parts.system import split_system
from image.release.identity import digest
from image.release.inputs import Inputs, Progress
from image.release.trees import Trees
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

    def _system_id(self) -> str:
        return self.inputs.system_id(self._trees.chosen)

    def _modules(self) -> list[Tree]:
        return [build_modules(self.archive, self.kernel, self.inputs.recipe, self._trees.tools)]

    def _system(self) -> list[Tree]:
        return split_system(self._trees.system())

    def _project(self) -> list[Tree]:
        return [self._trees.project()]

    @functools.cached_property
    def _trees(self) -> Trees:
        return Trees(self.inputs, self.archive, self.place, self.progress)

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
