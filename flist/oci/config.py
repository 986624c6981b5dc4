"""An image's configuration: how its program is started, and the digests of its layers.

The flist has it twice: as the tag `image` (JSON) and as `/.startup.toml`, upstream's form. Source:
OCI image specification 1.1, "Image Configuration".
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from flist.oci.digest import Digest, parse_digest
from flist.oci.errors import ImageError
from flist.oci.manifest import parse_json
from flist.oci.platform import Platform

STARTUP_NAME = b".startup.toml"


class Config(NamedTuple):
    """What a container of the image runs, and the digests of its uncompressed layers."""

    platform: Platform
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[str, ...]
    user: str
    directory: str
    ports: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    stop_signal: str
    diff_ids: tuple[Digest, ...]

    @property
    def arguments(self) -> tuple[str, ...]:
        """The whole command line: the entrypoint, with the command as its arguments."""
        return self.entrypoint + self.command


def parse_config(data: bytes) -> Config:
    """Return the configuration in `data`; raises `ImageError`."""
    value = parse_json(data, "the image's configuration")
    inner = read_object(value, "config")
    layers = read_object(value, "rootfs").get("diff_ids")
    if not isinstance(layers, list):
        raise ImageError("cannot read the image's configuration: it has no list of diff_ids")
    labels = read_object(inner, "Labels")
    return Config(
        Platform(*(read_text(value, key) for key in ("os", "architecture", "variant"))),
        read_words(inner, "Entrypoint"),
        read_words(inner, "Cmd"),
        read_words(inner, "Env"),
        read_text(inner, "User"),
        read_text(inner, "WorkingDir"),
        tuple(sorted(read_object(inner, "ExposedPorts"))),
        tuple(sorted(read_object(inner, "Volumes"))),
        tuple(sorted((key, read_text(labels, key)) for key in labels)),
        read_text(inner, "StopSignal"),
        tuple(parse_digest(item) for item in layers),
    )


def read_object(value: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the object at `key`, empty if there is none."""
    found = value.get(key)
    if found is not None and not isinstance(found, dict):
        raise ImageError(f"cannot read the image's configuration: {key} is not an object")
    return found or {}


def read_text(value: Mapping[str, Any], key: str) -> str:
    """Return the text at `key`, empty if there is none."""
    found = value.get(key)
    if found is not None and not isinstance(found, str):
        raise ImageError(f"cannot read the image's configuration: {key} is not text")
    return check_text(found or "", key)


def read_words(value: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the list of texts at `key`; a single text is a command for the shell."""
    found = value.get(key)
    if isinstance(found, str):
        return ("/bin/sh", "-c", check_text(found, key))
    if found is not None and not (
        isinstance(found, list) and all(isinstance(word, str) for word in found)
    ):
        raise ImageError(f"cannot read the image's configuration: {key} is not a list of words")
    return tuple(check_text(word, key) for word in found or ())


def check_text(text: str, key: str) -> str:
    """Return `text` if it can be passed to a program: UTF-8 without NUL."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        raise ImageError(
            f"cannot read the image's configuration: {key} holds a forbidden character"
        )
    return text


def image_tag(config: Config, name: str, digest: str) -> str:
    """Return the JSON of the tag `image`; empty fields are left out."""
    found = {
        "name": name,
        "digest": digest,
        "platform": str(config.platform),
        "entrypoint": config.entrypoint,
        "command": config.command,
        "environment": config.environment,
        "user": config.user,
        "directory": config.directory,
        "ports": config.ports,
        "volumes": config.volumes,
        "labels": dict(config.labels),
        "stop_signal": config.stop_signal,
    }
    kept = {key: value for key, value in found.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def startup_toml(config: Config) -> bytes:
    """Return `/.startup.toml`, byte for byte as upstream writes it, except that upstream may lose
    the command.

    Tables and keys are in alphabetical order, the environment is a table; checked against the block
    keys of upstream's samples.
    """
    program, *arguments = config.arguments or ("",)
    variables = dict(item.partition("=")[::2] for item in config.environment)
    words = ", ".join(map(toml_text, arguments))
    lines = [
        "[startup.entry]",
        'name = "core.system"',
        "",
        "[startup.entry.args]",
        f"args = [{words}]",
        f"dir = {toml_text(config.directory or '/')}",
        f"name = {toml_text(program)}",
        "",
        "[startup.entry.args.env]",
        *(f"{toml_key(key)} = {toml_text(variables[key])}" for key in sorted(variables)),
    ]
    return ("\n".join(lines) + "\n").encode()


def toml_text(text: str) -> str:
    """Return `text` as a basic string of TOML 1.0: its escapes are JSON's, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(text: str) -> str:
    """Return `text` as a key, quoted unless it can stand bare."""
    is_bare = text.isascii() and text.replace("_", "").replace("-", "").isalnum()
    return text if is_bare else toml_text(text)
