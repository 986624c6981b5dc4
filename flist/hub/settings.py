"""Settings of the hub."""

from pathlib import Path
from typing import Self
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from serving.listen import parse_address
from serving.settings import MIB, ServerSettings

GIB = 1 << 30


class HubSettings(ServerSettings):
    """What the commands of `zos hub` can be told."""

    model_config = SettingsConfigDict(env_prefix="ZOS_HUB_")

    listen: str = Field(default="127.0.0.1:8081", description="address and port, HOST:PORT")
    root: Path = Field(description="the hub's folder, or a plain one with flists/ and blocks/")
    database: str = Field(
        default="", description="URL of a PostgreSQL database; without it: ROOT/hub.db"
    )
    store: str = Field(
        default="", description="URL of the blocks' store (zdb, s3, dir); without it: ROOT/blocks"
    )
    public_store: str = Field(
        default="", description="URL of the blocks' zdb that clients of 0-hub are told"
    )
    read_only: bool = Field(default=False, description="take no changes")
    open_to_all: bool = Field(
        default=False, description="whoever can connect is Administrator: on the loopback only"
    )
    cache_bytes: int = Field(
        default=10 * GIB, ge=0, description="files in ROOT/cache, which come from the store"
    )
    quota_bytes: int = Field(default=0, ge=0, description="what an account may keep; 0 is no limit")
    keep_versions: int = Field(
        default=10, ge=0, description="earlier versions that are kept of each flist"
    )
    max_flist_bytes: int = Field(default=GIB, ge=1, description="size of one flist")
    max_file_bytes: int = Field(default=GIB, ge=1, description="size of one uploaded file")
    max_archive_bytes: int = Field(
        default=64 * GIB, ge=1, description="size of what one uploaded archive holds"
    )
    max_block_bytes: int = Field(
        default=4 * MIB, ge=1, le=64 * MIB, description="size of one block that is uploaded"
    )
    gc_interval: float = Field(
        default=86400, ge=0, description="seconds between garbage collections; 0: none"
    )
    gc_older_than: float = Field(
        default=7 * 86400, ge=0, description="seconds for which nothing has needed what is removed"
    )
    mirror_tokens: Path | None = Field(
        default=None,
        description="file of lines URL TOKEN, for private repositories of hubs that are followed",
    )
    upstream: list[str] = Field(
        default=[],
        description="URL of a hub whose flists and blocks `serve` keeps copies of; can be repeated",
    )
    upstream_stale: float = Field(
        default=7 * 86400,
        ge=0,
        description="seconds for which flists are served that could not be checked",
    )
    jobs: int = Field(default=2, ge=0, description="conversions at the same time; 0: none")
    job_seconds: float = Field(default=3600, gt=0, description="time that a conversion may take")
    job_memory_bytes: int = Field(
        default=2 * GIB, ge=256 * MIB, description="memory that a conversion may take"
    )
    job_size_bytes: int = Field(
        default=16 * GIB, ge=MIB, description="what an image may have when it is unpacked"
    )
    private_registries: list[str] = Field(
        default=[],
        description="HOST[:PORT] of a registry that may be at a private address; can be repeated",
    )
    insecure_registries: list[str] = Field(
        default=[],
        description="the same, for a registry without TLS; can be repeated",
    )
    sign_in_per_minute: float = Field(
        default=30, ge=0, description="sign-ins of one client address; 0 is no limit"
    )
    sign_in_burst: int = Field(default=30, ge=1, description="sign-ins of one address at once")

    @model_validator(mode="after")
    def check_open(self) -> Self:
        """Refuse to let everybody in who is not on this machine."""
        host = parse_address(self.listen)[0]
        if self.open_to_all and host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("open_to_all needs a listen address of the loopback")
        return self

    public_url: str = Field(
        default="", description="URL of the hub as browsers see it, such as https://hub.example.org"
    )
    oidc_issuer: str = Field(
        default="", description="URL of an OpenID Connect provider, where users may sign in"
    )
    oidc_client_id: str = Field(default="", description="the hub's client id there")
    oidc_client_secret: Path | None = Field(
        default=None, description="file with the hub's client secret there, if it has one"
    )
    oidc_create: bool = Field(
        default=True, description="whether a user of the provider who is new gets an account"
    )

    @model_validator(mode="after")
    def check_oidc(self) -> Self:
        """Check the settings that belong together."""
        if self.oidc_issuer and not (self.oidc_client_id and self.public_url):
            raise ValueError("oidc_issuer needs oidc_client_id and public_url")
        for key in ("public_url", "oidc_issuer"):
            place = urlsplit(getattr(self, key))
            if getattr(self, key) and (place.scheme not in ("http", "https") or not place.netloc):
                raise ValueError(f"{key} is not a URL that begins with https://")
        return self

    @property
    def store_url(self) -> str:
        """Return the URL of the store of blocks."""
        return self.store or f"dir://{quote(str(self.root.absolute() / 'blocks'))}"
