"""Settings of the registry."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from serving.settings import MIB, ServerSettings

_ORIGIN = re.compile(r"[A-Za-z0-9._/-]{1,100}")


class RegistrySettings(ServerSettings):
    """What the commands of `zos registry` can be told."""

    model_config = SettingsConfigDict(env_prefix="ZOS_REGISTRY_")

    listen: str = Field(default="127.0.0.1:8082", description="address and port, HOST:PORT")
    state: Path = Field(description="folder of what the registry keeps: its database, its key")
    database: str = Field(
        default="",
        description="URL of a PostgreSQL database, instead of an SQLite file in `state`",
    )
    key: Path | None = Field(
        default=None,
        description="Ed25519 key in PEM that signs the log and files; empty: one in `state`",
    )
    origin: str = Field(
        default="zero-os-registry",
        description="name of the log, as its signed heads have it; it must never change",
    )
    enrolment_key: list[Path] = Field(
        default=[],
        description="public key of a bootstrap server whose enrolment tokens count; can be"
        " repeated",
    )
    farms: Literal["open", "token", "closed"] = Field(
        default="open",
        description="who may register a farm: everybody, who has a token, or nobody",
    )
    enrolled_only: bool = Field(
        default=False, description="refuse nodes that show no enrolment token"
    )
    interval: float = Field(
        default=2400,
        ge=1,
        le=3600,
        description="seconds between two reports of a node, as nodes are told",
    )
    node_reports_per_minute: float = Field(
        default=6, ge=0, description="reports of one node; 0 is no limit"
    )
    node_reports_burst: int = Field(default=20, ge=1, description="reports of one node at once")
    node_bytes_per_day: int = Field(
        default=2 * MIB, ge=0, description="bytes of one node's reports; 0 is no limit"
    )
    new_nodes_per_minute: float = Field(
        default=60, ge=0, description="new nodes of one client address; 0 is no limit"
    )
    farm_messages_per_day: int = Field(
        default=100,
        ge=0,
        description="accepted messages of farms by one key, and by one client address; 0 is no"
        " limit",
    )
    address_bytes_per_day: int = Field(
        default=32 * MIB,
        ge=0,
        description="bytes without a token from one client address: of nodes that are not"
        " enrolled, and of farms; 0 is no limit",
    )
    unproven_bytes_per_day: int = Field(
        default=1024 * MIB,
        ge=0,
        description="bytes without a token from all addresses; 0 is no limit",
    )
    total_bytes_per_day: int = Field(
        default=65536 * MIB,
        ge=0,
        description="bytes of all accepted messages; 0 is no limit",
    )
    refusals_per_minute: float = Field(
        default=120,
        ge=0,
        description="refused messages of one client address before it must wait; 0 is no limit",
    )
    keep_months: int = Field(
        default=13,
        ge=0,
        description="months for which the log keeps what reports say, beside their hashes; 0: for"
        " ever",
    )
    witness: list[str] = Field(
        default=[],
        description="key (NAME+HASH+KEY) of a witness that may cosign the log; can be repeated",
    )

    @field_validator("origin")
    @classmethod
    def check_origin(cls, text: str) -> str:
        """Refuse what a signed note cannot name."""
        if not _ORIGIN.fullmatch(text):
            raise ValueError("letters, digits, dot, dash, slash and _ only")
        return text
