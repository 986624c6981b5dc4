"""Settings of the server."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from serving.listen import parse_address
from serving.settings import MIB, Settings
from zdb.values import DEFAULT_FILE_SIZE, MAX_FILE_SIZE

LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ZdbSettings(Settings):
    """What `zos zdb serve` can be told. Times are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="ZOS_ZDB_")

    disk: list[Path] = Field(
        default=[],
        description="folder of a disk, with data/ and index/ in it; can be repeated: a process for"
        " each, on this port and those after it",
    )
    data: Path | None = Field(default=None, description="folder of the data files, without a disk")
    index: Path | None = Field(
        default=None, description="folder of the index files, without a disk"
    )
    listen: str = Field(
        default="127.0.0.1:9900", description="address and port, HOST:PORT; empty: none"
    )
    socket: Path | None = Field(default=None, description="Unix socket, mode 0600")
    tls_cert: Path | None = Field(
        default=None, description="certificate chain in PEM; needs tls_key"
    )
    tls_key: Path | None = Field(default=None, description="private key in PEM, not encrypted")

    mode: Literal["user", "seq", "mix"] = Field(
        default="mix",
        description="of namespaces: user, clients choose keys; seq, the server numbers them; mix,"
        " each has its own",
    )
    admin: str = Field(
        default="", description="password of administrators; empty: every client is one"
    )
    protect: bool = Field(
        default=False, description="the namespace default wants that password for changes"
    )
    sync: Literal["always", "interval", "never"] = Field(
        default="interval", description="when written data survives a power failure"
    )
    sync_seconds: float = Field(
        default=1, ge=0.05, le=3600, description="the interval of sync=interval"
    )
    file_size: int = Field(
        default=DEFAULT_FILE_SIZE,
        ge=1 << 16,
        lt=MAX_FILE_SIZE,
        description="bytes of a data file before the next is begun",
    )
    maxsize: int = Field(
        default=0, ge=0, description="bytes of all values in the namespace default; 0: no limit"
    )

    hook: Path | None = Field(
        default=None, description="program that is run at events, with the event as its arguments"
    )
    hook_timeout: float = Field(default=60, gt=0, description="a hook is killed after it")
    metrics: str = Field(
        default="", description="address and port of GET /metrics, HOST:PORT; empty: none"
    )
    debug_commands: bool = Field(default=False, description="STOP and KSCAN work")
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="json, text, or auto: text on a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least severe level that is logged"
    )

    max_connections: int = Field(
        default=4096,
        ge=1,
        description="open connections; lowered to what the descriptor limit allows",
    )
    max_buffered_bytes: int = Field(
        default=256 * MIB,
        ge=32 * MIB,
        description="bytes of unfinished requests and of replies not taken; above it the connection"
        " with most is closed",
    )
    idle_timeout: float = Field(
        default=0, ge=0, description="for a connection without requests; 0: none"
    )
    request_timeout: float = Field(
        default=30, gt=0, description="between two parts of a request, and for TLS"
    )
    write_timeout: float = Field(
        default=30, gt=0, description="between two parts of a reply that a client takes"
    )
    stop_timeout: float = Field(
        default=30, gt=0, description="how long the process of a disk may take to stop"
    )

    @field_validator("listen", "metrics")
    @classmethod
    def check_address(cls, text: str) -> str:
        """Raise `UsageError` for a text that is not an address."""
        if text:
            parse_address(text)
        return text

    @model_validator(mode="after")
    def check_together(self) -> Self:
        """Check settings that depend on one another."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key must be set together")
        if (self.data is None) != (self.index is None):
            raise ValueError("data and index must be set together")
        if bool(self.disk) == (self.data is not None):
            raise ValueError("either disk is needed, or data and index")
        if not self.listen and self.socket is None:
            raise ValueError("one of listen and socket is needed")
        if self.protect and not self.admin:
            raise ValueError("protect needs the password of administrators: set admin")
        if self.listen and not self.admin and not is_loopback(self.listen):
            raise ValueError(
                f"{self.listen} can be reached from outside, where every client would be an"
                " administrator: set admin to a password (in the settings file, or ZOS_ZDB_ADMIN)"
            )
        return self

    def folders(self) -> tuple[Path, Path]:
        """Return the folders of data and index of the only disk."""
        if self.data is not None and self.index is not None:
            return self.data, self.index
        return self.disk[0] / "data", self.disk[0] / "index"


def is_loopback(address: str) -> bool:
    """Return whether only this machine reaches an address."""
    return parse_address(address)[0] in LOOPBACK
