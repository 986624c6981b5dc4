"""Settings of the hub."""

from pathlib import Path
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import SettingsConfigDict

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
    cache_bytes: int = Field(
        default=10 * GIB, ge=0, description="files in ROOT/cache, which come from the store"
    )
    quota_bytes: int = Field(default=0, ge=0, description="what an account may keep; 0 is no limit")
    keep_versions: int = Field(
        default=10, ge=0, description="earlier versions that are kept of each flist"
    )
    max_flist_bytes: int = Field(default=GIB, ge=1, description="size of one flist")
    max_file_bytes: int = Field(default=GIB, ge=1, description="size of one uploaded file")
    max_block_bytes: int = Field(
        default=4 * MIB, ge=1, le=64 * MIB, description="size of one block that is uploaded"
    )
    gc_interval: float = Field(
        default=86400, ge=0, description="seconds between garbage collections; 0: none"
    )
    gc_older_than: float = Field(
        default=7 * 86400, ge=0, description="seconds for which nothing has needed what is removed"
    )
    sign_in_per_minute: float = Field(
        default=30, ge=0, description="sign-ins of one client address; 0 is no limit"
    )
    sign_in_burst: int = Field(default=30, ge=1, description="sign-ins of one address at once")

    @property
    def store_url(self) -> str:
        """Return the URL of the store of blocks."""
        return self.store or f"dir://{quote(str(self.root.absolute() / 'blocks'))}"
