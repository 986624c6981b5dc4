"""The value of a profile: what differs between releases. `load.py` reads it from TOML."""

from dataclasses import dataclass, fields

from common.debian.architecture import ARCHITECTURES, Architecture
from image.recipe.kind import KINDS, RELEASE, Kind
from image.tree import matches


@dataclass(frozen=True, slots=True)
class Addition:
    """A file that a profile adds to the image."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Recipe:
    """A profile with everything that it inherits.

    Paths are relative to the image's root and globs, in which "*" also matches slashes. A glob that
    begins with "!" removes what earlier ones have chosen.
    """

    name: str
    product: str = RELEASE.name
    architecture: str = "amd64"
    components: tuple[str, ...] = ("main",)
    packages: tuple[str, ...] = ()
    package_files: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()  # below the kernel's folder kernel/
    modules_absent: tuple[str, ...] = ()  # globs of `modules` that this kernel has none for
    firmware: bool = False
    firmware_absent: tuple[str, ...] = ()  # names that Debian has no file for
    microcode: bool = False
    parameters: tuple[str, ...] = ()
    files: tuple[Addition, ...] = ()
    services: tuple[Addition, ...] = ()
    keys: str = ""  # Ed25519 public keys in base64, one per line
    root: str = ""  # root.json of the signed channels, which a node trusts
    wheels: tuple[str, ...] = ()  # requirements, NAME==VERSION
    python: tuple[str, ...] = ()  # globs of modules that the profile's own programs import
    debug: bool = False
    lockdown: bool = True
    kexec: bool = False  # although there is lockdown, other kernels may be loaded

    @property
    def kind(self) -> Kind:
        """Return the kind of what is built."""
        return KINDS[self.product]

    @property
    def target(self) -> Architecture:
        """Return the architecture of the machines that the release is for."""
        return ARCHITECTURES[self.architecture]

    def identity_of(self, *names: str) -> str:
        """Return the text of the fields `names`, or of all; equal only for equal values."""
        chosen = names or [field.name for field in fields(self)]
        return repr([(name, getattr(self, name)) for name in sorted(chosen)])


def is_chosen(path: str, patterns: tuple[str, ...]) -> bool:
    """Return whether the last of `patterns` that matches `path` is not one with "!"."""
    for pattern in reversed(patterns):
        if matches(path, [pattern.removeprefix("!")]):
            return not pattern.startswith("!")
    return False
