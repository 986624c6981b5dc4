"""The values of a build: the entries of a file system, and releases.

A path is text without a leading slash and without "." or ".." parts ("usr/bin/kmod").
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, eq=False)
class File:
    """A regular file; two paths with the same object are hard links."""

    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symbolic link; the target is not checked."""

    target: str
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A character device node ("c") or a block device node ("b")."""

    kind: str
    major: int
    minor: int
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


Entry = File | Directory | Symlink | Device


@dataclass(frozen=True, slots=True)
class Artefact:
    """One file of a release."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release in a folder; `reused` if it existed already, with the same inputs."""

    folder: Path
    version: str
    kernel: str
    files: dict[str, Artefact]
    reused: bool = False
    elapsed_s: float = 0.0
