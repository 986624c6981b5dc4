"""manifest.json: the description of a release. Written last, so its files are then complete.

    {"version": "0.1.0+3f2a...", "profile": "virt", "architecture": "amd64", "debug": false,
     "locked": true, "parameters": [], "lockdown": true, "kexec": false,
     "kernel": "6.12...", "identity": HEX,
     "files": {"vmlinuz": {"size": BYTES, "sha256": HEX}, "initramfs.zst": {...}, "zos.efi": {...}},
     "signed_by": {"secure_boot": HEX or null, "pcrs": HEX or null},
     "pcrs": {"secure_boot_on": {"4": HEX, "11": HEX}, "secure_boot_off": {...}}}

`identity` is the digest of all inputs of the release. It is `locked` if the Debian packages are
exactly those of the profile's lock; one that is not must not be published. `signed_by` has the
SHA-256 of the certificate and of the public key by which zos.efi is signed. `pcrs` are a TPM's
registers after its boot.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from image.model import Artefact, Release
from image.recipe.recipe import Recipe

NAME = "manifest.json"


def describe(data: bytes) -> Artefact:
    """Return the size and the digest of a file's content."""
    return Artefact(len(data), hashlib.sha256(data).hexdigest())


def encode_manifest(
    release: Release, recipe: Recipe, identity: str, uki: Mapping[str, Any], *, locked: bool
) -> bytes:
    """Return the content of a manifest; the same release always gives the same bytes.

    `uki` is what it says of zos.efi: `signed_by` and `pcrs`.
    """
    rows = {n: {"size": a.size, "sha256": a.sha256} for n, a in sorted(release.files.items())}
    value = {
        "version": release.version,
        "profile": recipe.name,
        "architecture": recipe.architecture,
        "debug": recipe.debug,
        "locked": locked,
        "parameters": recipe.parameters,
        "lockdown": recipe.lockdown,
        "kexec": recipe.kexec,
        "kernel": release.kernel,
        "identity": identity,
        "files": rows,
        **uki,
    }
    return json.dumps(value, indent=2).encode() + b"\n"


def find_release(
    folder: Path, version: str, identity: str, signed_by: Mapping[str, str | None]
) -> Release | None:
    """Return the release in `folder` if it is complete and this one, else None."""
    try:
        value: dict[str, Any] = json.loads((folder / NAME).read_bytes())
        found = (value["version"], value["identity"], value["signed_by"])
        if found != (version, identity, signed_by):
            return None
        files = {name: Artefact(row["size"], row["sha256"]) for name, row in value["files"].items()}
        if any(describe((folder / name).read_bytes()) != file for name, file in files.items()):
            return None
        return Release(folder, value["version"], value["kernel"], files, reused=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
