"""The values of a profile's keys: lists of names, files, public keys, wheels."""

import base64
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from common.publickeys import parse_public_keys
from common.tuf.errors import MetadataError
from common.tuf.trust import Session, Trusted
from image.errors import ImageError
from image.recipe.recipe import Addition
from image.tree import check_path

WHEEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,-]+\])?==[A-Za-z0-9.!+-]+")
ADDITION_KEYS = ("text", "source", "mode")


class BadValueError(Exception):
    """A value is of the wrong type or form; `inside` is the key within the table, if any."""

    def __init__(self, message: str, inside: str = "") -> None:
        super().__init__(message)
        self.inside = inside


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that names the nearest of `known`, if one is near."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def read_names(value: Any, _folder: Path) -> tuple[str, ...]:
    """Return a list of words."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadValueError("must be a list of strings")
    for item in value:
        if not item or any(char.isspace() for char in item):
            raise BadValueError(f"{item!r} is empty or has a space in it")
    return tuple(value)


def read_wheels(value: Any, _folder: Path) -> tuple[str, ...]:
    """Return requirements that name one version each; the lock has their hashes."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadValueError("must be a list of strings")
    for item in value:
        if not WHEEL.fullmatch(item):
            raise BadValueError(f"{item!r} is not NAME==VERSION")
    return tuple(value)


def read_keys(value: Any, folder: Path) -> str:
    """Return the keys in a list of files."""
    try:
        return "".join(read_key_file(folder / name) for name in read_names(value, folder))
    except ImageError as error:
        raise BadValueError(error.message) from error


def read_root(value: Any, folder: Path) -> str:
    """Return the root of signed channels that stands in a file."""
    if not isinstance(value, str):
        raise BadValueError("must be the name of a file")
    try:
        return read_root_file(folder / value)
    except ImageError as error:
        raise BadValueError(error.message) from error


def read_root_file(path: Path) -> str:
    """Return the text of a root.json that its own keys have signed. Raises `ImageError`."""
    try:
        data = path.read_bytes()
        Session(Trusted(data), None)
    except OSError as error:
        raise ImageError(
            f"cannot read the channels' root {path}: {error.strerror}",
            hint="`zos image keys init` makes root.json",
        ) from error
    except MetadataError as error:
        raise ImageError(f"cannot use the channels' root {path}: {error}") from error
    return data.decode()


def read_addition(key: str, path: str, value: Any, folder: Path) -> Addition:
    """Return the file at `path` of the image: {text or source, mode}, which stands under `key`."""
    if not isinstance(value, dict):
        raise BadValueError("must be a table with text or source", key)
    for name in value:
        if name not in ADDITION_KEYS:
            raise BadValueError(f"unknown key {name!r}{suggest(name, ADDITION_KEYS)}", key)
    mode = value.get("mode", 0o644)
    if type(mode) is not int or not 0 <= mode <= 0o777:
        raise BadValueError("mode must be at most 0o777, without set-user-ID bits", key)
    try:
        check_path(path)
    except ImageError as error:
        raise BadValueError(error.message, key) from error
    return Addition(path, _read_content(key, value, folder), mode)


def _read_content(key: str, value: dict[str, Any], folder: Path) -> bytes:
    text, source = value.get("text"), value.get("source")
    if (text is None) == (source is None) or not isinstance(text or source or "", str):
        raise BadValueError("must have either text or source, a string", key)
    if text is not None:
        return str(text).encode()
    file = folder / str(source)
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadValueError(f"cannot read {file}: {error.strerror}", key) from error


def read_key_file(path: Path) -> str:
    """Return the Ed25519 public keys in `path`, one per line, without comments and blank lines.

    Raises `ImageError` if a line is not base64 of 32 bytes, or if there is no key.
    """
    try:
        keys = parse_public_keys(path.read_text())
    except OSError as error:
        raise ImageError(
            f"cannot read the flist keys in {path}: {error.strerror}",
            hint="`zos flist keygen FILE` makes a key pair; FILE.pub is the public one",
        ) from error
    except UnicodeDecodeError as error:
        raise ImageError(f"cannot read the flist keys in {path}: not a text file") from error
    except ValueError as error:
        raise ImageError(f"cannot use the flist keys in {path}: {error}") from error
    return "".join(f"{base64.b64encode(key).decode()}\n" for key in keys)
