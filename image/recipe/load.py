"""Reads a profile, with the profiles that it extends, from strict TOML.

Lists of an extending profile are appended to those it extends; other values replace theirs. Paths
of files are relative to the profile's folder.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from common.debian.architecture import ARCHITECTURES
from image.errors import ImageError
from image.recipe.gate import check_production
from image.recipe.kind import KINDS, Kind
from image.recipe.lines import line_of
from image.recipe.recipe import Addition, Recipe
from image.recipe.values import (
    BadValueError,
    read_addition,
    read_keys,
    read_names,
    read_root,
    read_wheels,
    suggest,
)

PROFILES = Path(__file__).with_name("profiles")
DEFAULT_PROFILE = "virt"
EXTENDS_MAX = 8
SERVICES_FOLDER = "etc/zinit"


@dataclass(frozen=True, slots=True)
class Document:
    """A profile's file: its text, and its top-level table."""

    path: Path
    text: str
    table: Mapping[str, Any]

    def error(self, message: str, *names: str) -> ImageError:
        """Return an error that names the file, and the line of the key `names`."""
        line = line_of(self.text, *names)
        return ImageError(f"{self.path}:{line}: {message}" if line else f"{self.path}: {message}")


Reader = Callable[[Any, Path], Any]


def _read_flag(value: Any, _folder: Path) -> bool:
    if not isinstance(value, bool):
        raise BadValueError("must be true or false")
    return value


def _read_architecture(value: Any, _folder: Path) -> str:
    if value not in ARCHITECTURES:
        raise BadValueError(f"must be one of: {', '.join(ARCHITECTURES)}")
    return str(value)


def _read_product(value: Any, _folder: Path) -> str:
    if value not in KINDS:
        raise BadValueError(f"must be one of: {', '.join(KINDS)}")
    return str(value)


def _read_files(value: Any, folder: Path) -> tuple[Addition, ...]:
    if not isinstance(value, dict):
        raise BadValueError("must be a table of paths")
    return tuple(
        read_addition(path, path.lstrip("/"), what, folder) for path, what in value.items()
    )


def _read_services(value: Any, folder: Path) -> tuple[Addition, ...]:
    if not isinstance(value, dict):
        raise BadValueError("must be a table of names")
    if odd := [name for name in value if not name.replace("-", "").replace("_", "").isalnum()]:
        raise BadValueError(f"{odd[0]!r} is not the name of a service")
    return tuple(
        read_addition(name, f"{SERVICES_FOLDER}/{name}.yaml", what, folder)
        for name, what in value.items()
    )


# One reader per key of a profile; a key is a field of `Recipe`.
READERS: Mapping[str, Reader] = {
    "product": _read_product,
    "architecture": _read_architecture,
    "components": read_names,
    "packages": read_names,
    "package_files": read_names,
    "modules": read_names,
    "modules_absent": read_names,
    "firmware": _read_flag,
    "firmware_absent": read_names,
    "microcode": _read_flag,
    "parameters": read_names,
    "files": _read_files,
    "services": _read_services,
    "keys": read_keys,
    "root": read_root,
    "wheels": read_wheels,
    "python": read_names,
    "debug": _read_flag,
    "lockdown": _read_flag,
    "kexec": _read_flag,
}
KEYS = ("extends", *READERS)


def load_recipe(profile: str | Path, *, debug: bool = False, kind: Kind | None = None) -> Recipe:
    """Return the profile with this name or in this file; `debug` makes it a debug one.

    Raises `ImageError` for a mistake, for a profile with a way in that is not a debug one, and for
    one of another kind than `kind`.
    """
    documents = _read_chain(find_profile(profile))
    recipe = Recipe(name=documents[-1].path.stem)
    for document in documents:
        recipe = _apply(recipe, document)
    if kind and recipe.kind is not kind:
        raise ImageError(
            f"cannot use the profile {recipe.name}: it is one of a {recipe.product}, "
            f"not of a {kind.name}",
            hint="zos image build makes releases, zos image core makes zos-core",
        )
    recipe = replace(recipe, debug=debug or recipe.debug)
    check_production(recipe)
    return recipe


def built_in() -> list[str]:
    """Return the names of the built-in profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def find_profile(profile: str | Path, folder: Path | None = None) -> Path:
    """Return the file of a profile; `folder` is where a relative one stands."""
    name = str(profile)
    if name in built_in():
        return PROFILES / f"{name}.toml"
    path = (folder or Path()) / name
    if "/" in name or name.endswith(".toml") or path.exists():
        return path
    raise ImageError(
        f"there is no profile {name!r}{suggest(name, built_in())}",
        hint=f"the profiles are {', '.join(built_in())}; a file of yours is named as FILE.toml",
    )


def _read_chain(path: Path) -> list[Document]:
    """Return the profile's document and those it extends, the outermost base first."""
    chain: list[Document] = []
    while True:
        document = _read_document(path)
        chain.insert(0, document)
        base = document.table.get("extends")
        if base is None:
            return chain
        if not isinstance(base, str):
            raise document.error("extends must be the name of a profile", "extends")
        if len(chain) == EXTENDS_MAX:
            raise document.error(f"more than {EXTENDS_MAX} profiles extend one another", "extends")
        try:
            path = find_profile(base, path.parent)
        except ImageError as error:
            raise document.error(error.message, "extends") from error


def _read_document(path: Path) -> Document:
    try:
        text = path.read_text()
        return Document(path, text, tomllib.loads(text))
    except OSError as error:
        raise ImageError(f"cannot read the profile {path}: {error.strerror}") from error
    except ValueError as error:  # a TOML error names its line
        raise ImageError(f"cannot read the profile {path}: {error}") from error


def _apply(recipe: Recipe, document: Document) -> Recipe:
    """Return `recipe` with the values of one document."""
    for key, value in document.table.items():
        if key not in KEYS:
            raise document.error(f"unknown key {key!r}{suggest(key, KEYS)}", key)
        if key == "extends":
            continue
        try:
            read = READERS[key](value, document.path.parent)
        except BadValueError as error:
            names = (key, error.inside) if error.inside else (key,)
            raise document.error(f"{': '.join(names)}: {error}", *names) from error
        old = getattr(recipe, key)
        recipe = replace(recipe, **{key: _join(old, read)})
    return recipe


def _join(old: Any, new: Any) -> Any:
    is_list = isinstance(old, tuple) or (isinstance(old, str) and old.endswith("\n"))
    return old + new if is_list else new


assert set(READERS) == {field.name for field in fields(Recipe)} - {"name"}
