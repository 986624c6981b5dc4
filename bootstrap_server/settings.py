"""Settings of the bootstrap server. Addresses in scripts come from here, never from a request."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from bootstrap_server.errors import SettingsError
from bootstrap_server.options.urls import FORM, URL_MAX_CHARS, plain_url
from serving.settings import ServerSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from common.efi.keys import Signer

_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._:@+-]*")


class BootstrapSettings(ServerSettings):
    """What `zos bootstrap serve` can be told."""

    model_config = SettingsConfigDict(env_prefix="ZOS_BOOTSTRAP_")

    listen: str = Field(default="127.0.0.1:8080", description="address and port, HOST:PORT")
    url: str = Field(
        default="",
        description="where nodes and browsers reach this server; empty: http://HOST:PORT",
    )
    releases: Path | None = Field(
        default=None,
        description="folder with dev, qa, test, prod, each with vmlinuz and initramfs.zst",
    )
    store: Path | None = Field(
        default=None, description="release store with signed channels, instead of `releases`"
    )
    store_root: Path | None = Field(
        default=None, description="root.json that is trusted to sign the channels of `store`"
    )
    kernels: Path | None = Field(
        default=None, description="folder of kernels that images can ask for by name"
    )
    hub: str = Field(
        description="URL where nodes fetch their file systems; several with commas between them"
    )
    registry: str = Field(
        default="", description="URL of the registry that nodes report to; empty: to none"
    )
    allow_parameter: list[str] = Field(
        default=[],
        description="name of a further kernel parameter that farmers may set; can be repeated",
    )

    image_key: Path | None = Field(
        default=None, description="Ed25519 private key in PEM that signs images: their .sig"
    )
    secure_boot_key: Path | None = Field(
        default=None,
        description="RSA private key in PEM that signs farms in images for Secure Boot: the one"
        " that signed the releases",
    )
    secure_boot_certificate: Path | None = Field(
        default=None, description="its certificate in PEM, as it is enrolled in `db`"
    )
    tls_root: Path | None = Field(
        default=None,
        description="certificate in PEM that signed this server's: UEFI images trust it alone",
    )
    state: Path | None = Field(
        default=None, description="folder of what the server keeps: its database, its key"
    )
    database: str = Field(
        default="",
        description="URL of a PostgreSQL database, instead of an SQLite file in `state`",
    )
    unknown_nodes: str = Field(
        default="",
        description="what nodes get that ask for their script and are not in the table, as in an"
        " address: RUNMODE[/FARM[/PARAMETERS]]; empty: they wait until a farmer claims them",
    )
    enrol_key: Path | None = Field(
        default=None,
        description="Ed25519 key in PEM that signs images' enrolment tokens; empty: one in `state`",
    )
    reports_per_minute: int = Field(
        default=12000,
        ge=0,
        description="reports of booting nodes that one client address may send; 0 is no limit",
    )
    mirror: list[str] = Field(
        default=[],
        description="URL of a further server with the same releases, for nodes that can't reach "
        "this one; can be repeated",
    )

    @field_validator("allow_parameter")
    @classmethod
    def check_names(cls, names: list[str]) -> list[str]:
        """Refuse what can't be a parameter's name."""
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is not the name of a kernel parameter")
        return names


class StateSettings(BootstrapSettings):
    """The same settings for verbs that use only the state, so they need no hub."""

    hub: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The addresses and the folder that one application works with.

    Nodes reach the server at `public_url` and fetch their file systems from `hub_url`, which may be
    several URLs with commas between them, and report to `registry_url`, if it is set. `releases`
    holds a folder `<run mode>/{vmlinuz,initramfs.zst}` for each channel. Browsers reach the server
    at `page_url`, which differs from `public_url` when the nodes are in a virtual network.
    `parameters` are the names of kernel parameters that farmers may set beside the documented ones.
    `mirrors` are further servers with the same releases. With a `store`, releases come from its
    channels, as far as the trusted metadata `root` vouches for them, and `releases` is not used.
    `image_key` signs images, and `secure_boot` the farms in those for Secure Boot. `tls_root` is
    the SHA-256 of the certificate that UEFI images trust.
    `kernels` is a folder of the operator's own. `state` and `database` say where state is kept;
    without both it ends with the process.
    """

    public_url: str
    hub_url: str
    releases: Path | None = None
    page_url: str = ""
    parameters: tuple[str, ...] = ()
    store: Path | None = None
    root: bytes = b""
    mirrors: tuple[str, ...] = ()
    image_key: "Ed25519PrivateKey | None" = None
    secure_boot: "Signer | None" = None
    tls_root: bytes = b""
    state: Path | None = None
    database: str = ""
    enrol_key: Path | None = None
    reports_per_minute: int = 12000
    unknown_nodes: str = ""
    kernels: Path | None = None
    registry_url: str = ""

    def __post_init__(self) -> None:
        """Check the addresses, and remove the slash at their ends."""
        object.__setattr__(self, "public_url", check_url(self.public_url, "public URL"))
        hubs = [check_url(url, "hub's URL") for url in self.hub_url.split(",")]
        object.__setattr__(self, "hub_url", ",".join(dict.fromkeys(hubs)))
        if (self.releases is None) == (self.store is None):
            raise SettingsError(
                "cannot tell where releases are",
                hint="--releases DIR, or --store DIR with --store-root FILE",
            )
        mirrors = tuple(check_url(mirror, "mirror's URL") for mirror in self.mirrors)
        object.__setattr__(self, "mirrors", mirrors)
        if self.registry_url:
            registry = check_url(self.registry_url, "registry's URL")
            object.__setattr__(self, "registry_url", registry)
        page_url = check_url(self.page_url or self.public_url, "page's URL")
        object.__setattr__(self, "page_url", page_url)

    @property
    def root_path(self) -> str:
        """Return the path of the first page: "/", or where a proxy puts this server."""
        return urlsplit(self.page_url).path + "/"


def check_url(text: str, what: str) -> str:
    """Return `text` without a slash at its end. Raises `SettingsError` if it is not a plain URL."""
    if (url := plain_url(text)) is None:
        raise SettingsError(
            f"cannot use {text[:80]!r} as the {what}",
            hint=f"{FORM}, at most {URL_MAX_CHARS} characters",
        )
    return url
