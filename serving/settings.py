"""Settings that every server has, and the way from file, environment and flags to a checked model.

A flag overrides an environment variable, which overrides the settings file, which overrides the
default. A key that no server setting has is an error in the file and in the environment.
"""

import argparse
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeVar, get_origin

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from common.errors import UsageError
from serving.listen import parse_address

MIB = 1 << 20
MIN_CHUNK_BYTES = 4096


class Settings(BaseSettings):
    """Settings from flags, the environment and a file; a subclass sets `env_prefix`."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, enable_decoding=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values only from the caller: `load_settings` merges the sources itself."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def split_list(cls, value: object, info: ValidationInfo) -> object:
        """Take a list as a list, or as a text with blanks or commas between its words."""
        if isinstance(value, str) and is_list(cls.model_fields[info.field_name or ""]):
            if value.lstrip().startswith("["):
                raise ValueError("write its words with blanks or commas between them, not as JSON")
            return value.replace(",", " ").split()
        return value


class ServerSettings(Settings):
    """What every server can be told. Times are in seconds."""

    listen: str = Field(
        default="127.0.0.1:8080", description="address and port, HOST:PORT or [IPv6]:PORT"
    )
    tls_cert: Path | None = Field(
        default=None, description="certificate chain in PEM; needs tls_key"
    )
    tls_key: Path | None = Field(default=None, description="private key in PEM, not encrypted")
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks whose X-Forwarded-For is believed, comma-separated",
    )

    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="json, text, or auto: text on a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe level that is logged"
    )

    header_timeout: float = Field(
        default=10, gt=0, description="for a request's whole head, and for TLS"
    )
    idle_timeout: float = Field(
        default=60, gt=0, description="between two requests of one connection"
    )
    body_timeout: float = Field(
        default=30, gt=0, description="how long a request body may arrive more slowly than min_rate"
    )
    write_timeout: float = Field(
        default=30, gt=0, description="how long a response may be taken more slowly than min_rate"
    )
    min_rate: int = Field(default=512, ge=1, description="bytes per second for the two above")
    stop_delay: float = Field(
        default=0,
        ge=0,
        description="after SIGTERM, how long /ready says 503 before the listener closes",
    )
    stop_timeout: float = Field(
        default=60, ge=0, description="how long running transfers may still take"
    )

    workers: int = Field(
        default=1,
        ge=0,
        le=256,
        description="processes that serve; 0 is one for each processor. Limits are for each",
    )
    max_connections: int = Field(
        default=4096,
        ge=1,
        description="open connections; lowered to what the descriptor limit allows",
    )
    max_connections_per_client: int = Field(
        default=0,
        ge=0,
        description="open connections of one address; 0 is no limit (behind a proxy)",
    )
    max_header_bytes: int = Field(default=16384, ge=1024, description="size of a request's head")
    max_buffered_bytes: int = Field(
        default=64 * MIB,
        ge=MIB,
        description="response bytes in memory that clients have not taken yet",
    )
    max_body_memory: int = Field(
        default=256 * MIB, ge=MIB, description="request bytes in memory, over all requests"
    )

    file_threads: int = Field(default=40, ge=1, description="threads that look up and read files")
    hashing_threads: int = Field(default=2, ge=1, description="threads that hash and decode files")
    password_threads: int = Field(default=1, ge=1, description="threads that check passwords")
    upload_threads: int = Field(default=4, ge=1, description="threads that write uploads")

    @field_validator("listen")
    @classmethod
    def check_listen(cls, text: str) -> str:
        """Raise `UsageError` for a text that is not an address."""
        parse_address(text)
        return text

    @field_validator("*", mode="before")
    @classmethod
    def check_path(cls, value: object, info: ValidationInfo) -> object:
        """Refuse an empty path: it is mostly an unset variable, and not this directory."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        if value == "" and annotation in (Path, Path | None):
            raise ValueError("it is empty; . is this directory")
        return value

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Check settings that depend on one another."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be set together")
        if self.max_connections * MIN_CHUNK_BYTES > self.max_buffered_bytes:
            raise ValueError(f"max_buffered_bytes must be {MIN_CHUNK_BYTES} per max_connections")
        return self


Model = TypeVar("Model", bound=Settings)


class Layer(NamedTuple):
    """The values of one source; `name` says where they come from."""

    name: str
    values: Mapping[str, Any]


def load_settings(
    model: type[Model], flags: Mapping[str, object], config: Path | None = None
) -> Model:
    """Return the settings from `flags` (None: not given), the environment and the file `config`.

    Raises `UsageError` that names the source and the key.
    """
    layers = [read_file(model, config)] if config else []
    layers.append(read_environment(model))
    given = {key: value for key, value in flags.items() if value is not None}
    layers.append(Layer("the command line", given))
    merged = {key: value for layer in layers for key, value in layer.values.items()}
    try:
        return model(**merged)
    except ValidationError as error:
        raise explain(error.errors()[0], layers) from error


def read_file(model: type[Settings], path: Path) -> Layer:
    """Return the values of a TOML file."""
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise UsageError(f"cannot read settings {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read settings {path}: {error}") from error
    check_keys(model, values, str(path), "")
    return Layer(str(path), values)


def read_environment(model: type[Settings]) -> Layer:
    """Return the values of the environment variables that start with the model's prefix."""
    prefix = model.model_config.get("env_prefix", "")
    values = EnvSettingsSource(model, env_ignore_empty=True)() if prefix else {}
    named = [name for name in os.environ if prefix and name.startswith(prefix)]
    keys = {name.removeprefix(prefix).lower(): name for name in named}
    check_keys(model, keys, "the environment", prefix)
    return Layer("the environment", values)


def check_keys(model: type[Settings], keys: Mapping[str, object], source: str, prefix: str) -> None:
    """Raise `UsageError` for the first key that is not a setting."""
    for key in keys:
        if key not in model.model_fields:
            shown = prefix + key.upper() if prefix else key
            raise UsageError(
                f"cannot use the settings of {source}: unknown key {shown!r}",
                hint="the keys are " + ", ".join(model.model_fields),
            )


def explain(problem: ErrorDetails, layers: list[Layer]) -> UsageError:
    """Return the error for the first problem that pydantic found."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return UsageError(f"cannot use the settings: {reason}")
    key = str(problem["loc"][0])
    if problem["type"] == "missing":
        return UsageError(
            f"cannot start: the setting {key!r} is missing", hint="`--help` shows the flags"
        )
    source = next((layer.name for layer in reversed(layers) if key in layer.values), "the defaults")
    reason = reason[:1].lower() + reason[1:]
    return UsageError(f"cannot use {key!r} from {source}: {reason}")


def add_flags(parser: argparse.ArgumentParser, model: type[Settings]) -> None:
    """Add `--config` and a flag for every setting; the server's own settings come first.

    A flag that is not given is None in the parsed options.
    """
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings in TOML; flags override them"
    )
    own = {name: f for name, f in model.model_fields.items() if is_own(model, name)}
    for name, field in own.items():
        add_flag(parser, name, field)
    limits = parser.add_argument_group("settings of every server (times in seconds)")
    for name, field in model.model_fields.items():
        if name not in own:
            add_flag(limits, name, field)


def is_own(model: type[Settings], name: str) -> bool:
    """Tell whether a setting is declared by the server's own model."""
    return name in model.__annotations__


def is_list(field: FieldInfo) -> bool:
    """Tell whether a setting has several values."""
    return get_origin(field.annotation) is list


def add_flag(parser: Any, name: str, field: FieldInfo) -> None:
    """Add the flag of one setting. Its value stays text, which the model parses."""
    is_shown = not field.is_required() and field.default not in (None, "", [])
    default = f" ({field.default})" if is_shown else ""
    help_text = f"{field.description}{default}".replace("%", "%%")
    flag, metavar = f"--{name.replace('_', '-')}", choose_metavar(field)
    action = "append" if is_list(field) else "store"
    parser.add_argument(flag, dest=name, action=action, metavar=metavar, help=help_text)


def choose_metavar(field: FieldInfo) -> str:
    """Return what `--help` shows for a setting's value."""
    if field.annotation in (int, float):
        return "N"
    if is_list(field):
        return "PATH" if field.annotation == list[Path] else "NAME"
    return "PATH" if field.annotation in (Path, Path | None) else "TEXT"
