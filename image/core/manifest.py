"""core.json: the description of core.tar. Written last, so the files are then complete.

    {"version": "0.1.0+3f2a...", "profile": "core", "architecture": "amd64", "debug": false,
     "locked": true, "identity": HEX,
     "files": {"core.tar": {"size": BYTES, "sha256": HEX}, "sbom.spdx.json": {...}}}

As for a release, `identity` is the digest of all inputs.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from image.model import Artefact
from image.recipe.recipe import Recipe
from image.release.manifest import describe

NAME = "core.json"
TAR = "core.tar"


@dataclass(frozen=True, slots=True)
class Core:
    """The archive of `zos-core` in a folder; `reused` if it was there, with the same inputs."""

    folder: Path
    version: str
    identity: str
    files: dict[str, Artefact]
    reused: bool = False

    @property
    def tar(self) -> Path:
        """Return the archive."""
        return self.folder / TAR


def encode_core(core: Core, recipe: Recipe, *, locked: bool) -> bytes:
    """Return the content of core.json."""
    value = {
        "version": core.version,
        "profile": recipe.name,
        "architecture": recipe.architecture,
        "debug": recipe.debug,
        "locked": locked,
        "identity": core.identity,
        "files": {n: {"size": a.size, "sha256": a.sha256} for n, a in sorted(core.files.items())},
    }
    return json.dumps(value, indent=2).encode() + b"\n"


def find_core(folder: Path, identity: str) -> Core | None:
    """Return what is in `folder` if it is complete and of these inputs, else None."""
    try:
        value = json.loads((folder / NAME).read_bytes())
        files = {name: Artefact(row["size"], row["sha256"]) for name, row in value["files"].items()}
        if value["identity"] != identity or any(
            describe((folder / name).read_bytes()) != file for name, file in files.items()
        ):
            return None
        return Core(folder, value["version"], identity, files, reused=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
