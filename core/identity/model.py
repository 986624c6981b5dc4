"""What an identity is. Pure."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.nodes.nodeid import chain_address, node_id
from core.errors import CoreError

SEED_BYTES = 32

Kind = Literal["tpm", "disk", "ephemeral"]


class IdentityError(CoreError):
    """A seed that cannot be read or kept."""


@dataclass(frozen=True)
class Identity:
    """The node's key: where its seed is kept, and why not in a better place.

    `why` is what an operator has to know: empty if the seed is in the TPM and opens for signed
    releases only.
    """

    seed: bytes
    kind: Kind
    why: str = ""

    def __repr__(self) -> str:
        """Return a text without the seed."""
        return f"Identity({self.node}, {self.kind}, {self.why!r})"

    @cached_property
    def key(self) -> Ed25519PrivateKey:
        """Return the private key."""
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    @cached_property
    def public(self) -> bytes:
        """Return the public key."""
        return self.key.public_key().public_bytes_raw()

    @property
    def node(self) -> str:
        """Return the node's id."""
        return node_id(self.public)

    @property
    def address(self) -> str:
        """Return the key as an address on upstream's chain."""
        return chain_address(self.public)
