"""Settings of `zos bootstrap lan`, checked as far as they can be without the machine."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from bootstrap_server.lan.config import check_interface
from bootstrap_server.settings import check_url
from common.errors import UsageError
from serving.listen import parse_address
from serving.settings import ServerSettings

GIB = 1 << 30
DAY_S = 86400.0


class LanSettings(ServerSettings):
    """What `zos bootstrap lan` can be told."""

    model_config = SettingsConfigDict(env_prefix="ZOS_LAN_")

    interface: str = Field(description="network interface that the machines are on")
    server: str = Field(description="URL of the bootstrap server")
    runmode: str = Field(default="prod", description="run mode of the machines")
    farm: int = Field(ge=1, description="number of their farm")
    extra: str = Field(default="", description="further kernel parameters, with spaces between")
    dhcp: Literal["auto", "proxy", "full"] = Field(
        default="auto",
        description="proxy: beside another DHCP server; full: the only one; auto: ask the network",
    )
    range: str = Field(
        default="",
        description="addresses that full DHCP gives away, FIRST-LAST; empty: the interface's "
        "network, on the larger side of its own address",
    )
    gateway: str = Field(default="", description="router that full DHCP names; empty: none")
    dns: list[str] = Field(default=[], description="name server that full DHCP names; repeatable")
    listen: str = Field(
        default=":8090", description="port of HTTP at the interface's address, as :PORT"
    )
    mirror: Path | None = Field(
        default=None, description="folder that keeps what machines fetch, so it is fetched once"
    )
    mirror_size: float = Field(default=20, gt=0, description="GiB that the mirror may keep")
    mirror_stale: float = Field(
        default=7,
        ge=0,
        description="days for which it serves what it has while the server or the hub is away",
    )
    hub: str = Field(
        default="",
        description="URL of the hub, or several with commas; empty: as the server's script says",
    )

    @field_validator("interface")
    @classmethod
    def check_interface(cls, name: str) -> str:
        """Refuse what can't be an interface's name."""
        return check_interface(name)

    @field_validator("server")
    @classmethod
    def check_address(cls, url: str) -> str:
        """Return a plain URL without a slash at its end."""
        return check_url(url, "server's or hub's URL") if url else ""

    @field_validator("hub")
    @classmethod
    def check_hubs(cls, text: str) -> str:
        """Return plain URLs without a slash at their ends."""
        return (
            ",".join(check_url(url, "server's or hub's URL") for url in text.split(","))
            if text
            else ""
        )

    @field_validator("listen")
    @classmethod
    def check_listen(cls, text: str) -> str:
        """Refuse a host: nodes are told the interface's address."""
        host, _ = parse_address(text)
        if host != "::":
            raise UsageError(f"cannot listen on {text!r}", hint="only a port, for example :8090")
        return text

    @field_validator("dns", mode="before")
    @classmethod
    def split_dns(cls, value: object) -> object:
        """Take the addresses as a list or as texts with spaces or commas between them."""
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return value
        return " ".join(texts).replace(",", " ").split()

    @field_validator("gateway", "dns")
    @classmethod
    def check_addresses(cls, value: str | list[str]) -> str | list[str]:
        """Refuse what is no IPv4 address."""
        for text in [value] if isinstance(value, str) else value:
            if text:
                IPv4Address(text)
        return value

    @property
    def port(self) -> int:
        """Return the port of HTTP."""
        return parse_address(self.listen)[1]
