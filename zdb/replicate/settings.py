"""Settings of a replica."""

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from zdb.serve.settings import ZdbSettings

PORT = 9900


class ReplicaSettings(ZdbSettings):
    """What `zos zdb replicate` can be told."""

    master: str = Field(description="the server to follow: redis://HOST:PORT, or rediss:// for TLS")
    master_password: str = Field(default="", description="its password of administrators")
    master_ca: Path | None = Field(
        default=None,
        description="certificates in PEM that its own is checked with; none: the system's",
    )
    poll_seconds: float = Field(
        default=0.1, ge=0.01, le=60, description="between two questions whether there is more"
    )
    resync: bool = Field(
        default=False,
        description="throw away what is here where it is not what the master has, and copy anew",
    )
    mode: Literal["user", "seq", "mix"] = Field(default="mix", description="(of the master)")

    @model_validator(mode="after")
    def check_master(self) -> Self:
        """Raise for a master that can't be reached by its address."""
        address_of(self.master)
        if self.mode != "mix":
            raise ValueError("a replica takes each namespace's mode from its master")
        if len(self.disk) > 1:
            raise ValueError("a replica has one disk: start one for each of the master's")
        return self


def address_of(master: str) -> tuple[str, int, bool]:
    """Return host, port and whether TLS is used."""
    parts = urlsplit(master if "://" in master else f"redis://{master}")
    try:
        port = parts.port or PORT
    except ValueError:
        port = 0
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or not port or parts.path:
        raise ValueError(f"master must be redis://HOST:PORT or rediss://HOST:PORT, not {master}")
    return parts.hostname, port, parts.scheme == "rediss"
