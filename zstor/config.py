"""The configuration: upstream's TOML, and what our own format needs beyond it.

What upstream accepts and then aborts on is refused here: a code without parity, or with more than
256 shards.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from common.files import read_regular
from zstor.codec.galois import MAX_SHARDS
from zstor.errors import ConfigError
from zstor.model import Backend, Place, Shape, parse_address

PIECE = 2 << 20
"""The longest value of a sequential namespace that is written: upstream's limit."""
UPSTREAM_STORES = 4
MAX_STORES = 15
CHUNK = 16 << 20
"""The largest chunk without a `chunk_size`."""
MIB = 1 << 20


def _check_key(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise ValueError("a key has 64 hexadecimal digits")
    return text.lower()


def _check_address(text: str) -> str:
    host, port = parse_address(text)
    return Place(host, port).address


def _check_prefix(text: str) -> str:
    if len(text.encode()) > 128:
        raise ValueError("a prefix has at most 128 bytes")
    return text


Number = Annotated[int, Field(ge=0, lt=1 << 64)]
FilePath = Annotated[
    Path | None,
    BeforeValidator(
        lambda value: (value and Path(value)) or None if isinstance(value, str) else value
    ),
]


class Part(BaseModel):
    """A table of the file: values of another type are refused, unknown keys are not.

    That is upstream's rule for all tables but the whole.
    """

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class MetaEncryption(Part):
    """The key that metadata is encrypted with."""

    algorithm: Literal["AES"]
    key: Annotated[str, AfterValidator(_check_key)] = Field(repr=False)

    @property
    def secret(self) -> bytes:
        """Return the key's bytes."""
        return bytes.fromhex(self.key)


class Encryption(Part):
    """Who can read the files: the holder of `key`, or of the secret key of `recipient`."""

    algorithm: Literal["AES"]
    key: Annotated[str, AfterValidator(_check_key)] | None = Field(default=None, repr=False)
    recipient: FilePath = None
    identity: FilePath = None

    @model_validator(mode="after")
    def _has_a_key(self) -> "Encryption":
        if self.key is None and self.recipient is None and self.identity is None:
            raise ValueError("a key is missing: `key`, or `recipient` with a public key's file")
        return self

    @property
    def secret(self) -> bytes | None:
        """Return the key's bytes."""
        return bytes.fromhex(self.key) if self.key is not None else None


class CompressionTable(Part):
    """How files are compressed; upstream's format has always Snappy."""

    algorithm: Literal["snappy", "zstd", "none"]


class BackendTable(Part):
    """A namespace of a zdb server."""

    address: Annotated[str, AfterValidator(_check_address)]
    namespace: Annotated[str, Field(max_length=128)] | None = None
    password: str | None = Field(default=None, repr=False)

    @property
    def backend(self) -> Backend:
        """Return it as the other rooms know it."""
        return Backend(Place(*parse_address(self.address), self.namespace or None), self.password)


class MetaConfig(Part):
    """Where metadata is."""

    prefix: Annotated[str, AfterValidator(_check_prefix)]
    encryption: MetaEncryption
    backends: list[BackendTable]

    @model_validator(mode="after")
    def _has_a_majority(self) -> "MetaConfig":
        count = len(self.backends)
        if not 0 < count <= MAX_STORES or (count % 2 == 0 and count != UPSTREAM_STORES):
            raise ValueError(
                f"there are {count} backends: an odd number up to {MAX_STORES} is needed, "
                "or upstream's four"
            )
        if len({table.backend.place for table in self.backends}) < count:
            raise ValueError("a backend is there twice: one would overwrite the other")
        return self


class MetaTable(Part):
    """The kind of metadata store."""

    type: Literal["zdb"]
    config: MetaConfig


class Group(Part):
    """Backends that may fail together: a site, a rack, a farm."""

    backends: list[BackendTable]


class Config(Part):
    """A whole configuration."""

    model_config = ConfigDict(extra="forbid")

    minimal_shards: Annotated[int, Field(ge=1, le=MAX_SHARDS - 1)]
    expected_shards: Annotated[int, Field(ge=2, le=MAX_SHARDS)]
    redundant_groups: Number
    redundant_nodes: Number
    root: FilePath = None
    socket: FilePath = None
    pid_file: FilePath = None
    zdb_data_dir_path: FilePath = None
    max_zdb_data_dir_size: Number | None = None
    zdbfs_mountpoint: FilePath = None
    prometheus_port: Annotated[int, Field(ge=0, lt=65536)] | None = None
    format: Literal["zos", "upstream"] = "zos"
    chunk_size: Annotated[int, Field(ge=1)] | None = None
    encryption: Encryption
    compression: CompressionTable
    meta: MetaTable
    groups: list[Group]

    @property
    def shape(self) -> Shape:
        """Return the numbers of data and parity shards."""
        return Shape(self.minimal_shards, self.expected_shards - self.minimal_shards)

    @property
    def chunk_bytes(self) -> int:
        """Return how many bytes of a file are encoded together."""
        return self.chunk_size or min(CHUNK, self.minimal_shards * MIB)

    @property
    def data_groups(self) -> list[list[Backend]]:
        """Return the backends of the shards, by group; one that is there twice counts once."""
        seen: set[Place] = set()
        groups = []
        for group in self.groups:
            found = {table.backend.place: table.backend for table in group.backends}
            groups.append([own for place, own in found.items() if place not in seen])
            seen |= set(found)
        return groups

    @property
    def stores(self) -> list[Backend]:
        """Return the backends of the metadata."""
        return [table.backend for table in self.meta.config.backends]

    @model_validator(mode="after")
    def _has_parity(self) -> "Config":
        if self.minimal_shards >= self.expected_shards:
            raise ValueError(
                f"{self.minimal_shards} of {self.expected_shards} shards leave no parity: "
                "expected_shards must be larger than minimal_shards"
            )
        return self

    @model_validator(mode="after")
    def _has_backends(self) -> "Config":
        count = sum(map(len, self.data_groups))
        if count < self.expected_shards:
            raise ValueError(
                f"insufficient data backends, require at least {self.expected_shards}, "
                f"only found {count}"
            )
        return self

    @model_validator(mode="after")
    def _has_short_pieces(self) -> "Config":
        limit = self.minimal_shards * (PIECE - 64)
        if self.chunk_bytes > limit:
            raise ValueError(f"chunk_size is more than {limit}, with which pieces have 2 MiB")
        return self


def parse_config(text: str, name: str = "the configuration") -> Config:
    """Return the configuration in a TOML text."""
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot use {name}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"cannot use {name}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """Return one line that names each wrong key, and never a value, which may be a secret."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        where = ".".join(str(word) for word in fault["loc"])
        what = fault["msg"].removeprefix("Value error, ").replace("Extra inputs", "Other keys")
        lines.append(f"{where}: {what}" if where else what)
    return "; ".join(lines[:8])


def load_config(path: Path) -> Config:
    """Return the configuration in a file."""
    try:
        text = read_regular(path).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"cannot use {path}: it is no UTF-8 text") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    return parse_config(text, str(path))
