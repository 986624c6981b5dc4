"""Settings of the hub."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from serving.settings import ServerSettings


class HubSettings(ServerSettings):
    """What `zos hub serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="ZOS_HUB_")

    listen: str = Field(default="127.0.0.1:8081", description="address and port, HOST:PORT")
    root: Path = Field(description="folder with flists/<repo>/<name>.fl and blocks/")
    tokens: Path | None = Field(
        default=None,
        description="file of tokens, one per line; a client that sends one may write",
    )
    users: Path | None = Field(
        default=None,
        description="file of users who may sign in for a token (lines of `zos hub user NAME`)",
    )
    keep_versions: int = Field(
        default=10, ge=0, description="earlier versions that are kept of each flist"
    )
    sign_in_per_minute: float = Field(
        default=30, ge=0, description="sign-ins of one client address; 0 is no limit"
    )
    sign_in_burst: int = Field(default=30, ge=1, description="sign-ins of one address at once")
