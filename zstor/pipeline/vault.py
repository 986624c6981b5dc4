"""What storing and reading share: the configuration, the backends, the keys."""

from contextlib import ExitStack
from typing import NamedTuple

from zstor.backends.connection import Patience
from zstor.backends.pool import Pool
from zstor.backends.zdb import Servers
from zstor.codec.keys import (
    Wrap,
    derive,
    read_identity,
    read_recipient,
    unwrap_with_key,
    wrap_with_key,
)
from zstor.config import UPSTREAM_STORES, Config
from zstor.errors import ConfigError, DamagedError
from zstor.format.envelope import Version
from zstor.format.file import Kind, StoredFile, decode_file
from zstor.metastore.quorum import FILES, Metastore
from zstor.metastore.upstream import UpstreamMetastore
from zstor.model import Backend, Place


class Found(NamedTuple):
    """What is stored under a name: `file` is None for nothing, also after a deletion."""

    version: Version
    file: StoredFile | None
    is_certain: bool = True


class Vault:
    """A configured Zero-Store. It is opened with `with`."""

    def __init__(self, config: Config, patience: Patience | None = None) -> None:
        self.config = config
        self.patience = patience
        self.stack = ExitStack()
        self.slow: dict[Place, float] = {}
        """Until when a place is asked last, because it kept a reader waiting."""

    def __enter__(self) -> "Vault":
        """Make threads; connections are made when they are used."""
        self.pool = self.stack.enter_context(Pool(self.patience))
        self.servers = Servers(self.pool)
        meta = self.config.meta.config
        own = (self.servers, self.config.stores, meta.prefix)
        self.metastore = Metastore(*own, meta.encryption.secret)
        groups = self.config.data_groups
        self.backends = {backend.place: backend for group in groups for backend in group}
        return self

    def __exit__(self, *_: object) -> None:
        """Close all connections."""
        self.stack.close()

    def backend(self, place: Place) -> Backend:
        """Return a backend of a place; the configuration knows its password."""
        return self.backends.get(place) or Backend(place)

    def find(self, name: str) -> Found:
        """Return what is stored under a name in our format."""
        return self.read_file(self.metastore.file_key(name))

    def read_file(self, key: bytes) -> Found:
        """Return what is stored under a metadata key."""
        reading = self.metastore.read(key)
        file = decode_file(reading.data) if reading.data is not None else None
        if file is not None and file.kind is Kind.DELETED:
            file = None
        return Found(reading.version, file, reading.is_certain)

    def file_keys(self) -> list[bytes]:
        """Return the metadata keys of all files."""
        return list(self.metastore.keys(FILES))

    def upstream(self) -> UpstreamMetastore:
        """Return upstream's metadata; raise `ConfigError` if the configuration can't have it."""
        secret = self.config.encryption.secret
        if secret is None:
            raise ConfigError("cannot use upstream's format: encryption.key is missing")
        meta = self.config.meta.config
        return UpstreamMetastore(self.servers, self.config.stores, meta.prefix, secret)

    def has_upstream(self) -> bool:
        """Return whether there may be files in upstream's format."""
        return (
            self.config.encryption.secret is not None and len(self.config.stores) >= UPSTREAM_STORES
        )

    def wrap(self, key: bytes, object_id: bytes) -> tuple[Wrap, bytes]:
        """Return a data key, wrapped for the one who may read."""
        encryption = self.config.encryption
        if encryption.recipient is not None:
            return Wrap.HYBRID, read_recipient(encryption.recipient).wrap(key, object_id)
        if encryption.secret is None:
            raise ConfigError("cannot store: encryption has neither `recipient` nor `key`")
        return Wrap.AES, wrap_with_key(encryption.secret, key, object_id)

    def unwrap(self, file: StoredFile) -> bytes:
        """Return a file's data key."""
        encryption = self.config.encryption
        if file.wrap is Wrap.HYBRID:
            if encryption.identity is None:
                raise ConfigError(
                    f"cannot read {file.name}: it is for a recipient",
                    hint="name the file of the secret key in encryption.identity",
                )
            identity = read_identity(encryption.identity)
            return identity.unwrap(file.wrapped_key, file.object_id)
        if encryption.secret is None:
            raise ConfigError(f"cannot read {file.name}: encryption.key is missing")
        try:
            return unwrap_with_key(encryption.secret, file.wrapped_key, file.object_id)
        except DamagedError as error:
            raise DamagedError(
                f"cannot read {file.name}: it was stored with another encryption.key"
            ) from error

    def table_key(self, object_id: bytes) -> bytes:
        """Return the key of an object's tables, which repairers need who can't read files."""
        return derive(self.config.meta.config.encryption.secret, b"table " + object_id)
