"""Public keys, and the roles that name them.

Ed25519 is for keys in files, ECDSA for keys in hardware tokens, of which few know Ed25519.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.tuf.errors import MalformedError, SignatureError

SCHEMES = {
    ("ed25519", "ed25519"),
    ("ecdsa", "ecdsa-sha2-nistp256"),
    ("ecdsa", "ecdsa-sha2-nistp384"),
}


@dataclass(frozen=True, slots=True)
class Key:
    """A public key: `public` is hex for Ed25519, else PEM."""

    scheme: str
    public: str

    def has_signed(self, signature: bytes, payload: bytes) -> bool:
        """Return whether `signature` is this key's of `payload`."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        verify = _verify_ed25519 if self.scheme == "ed25519" else _verify_ecdsa
        try:
            verify(self, signature, payload)
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Role:
    """Who signs some metadata: at least `threshold` of `keys`, which are by key id."""

    keys: Mapping[str, Key]
    threshold: int

    def signers(self, signatures: Mapping[str, bytes], payload: bytes) -> list[str]:
        """Return the ids of the keys that have signed `payload`, one id for each key."""
        found: dict[Key, str] = {}
        for keyid, key in self.keys.items():
            signature = signatures.get(keyid)
            if signature is not None and key.has_signed(signature, payload):
                found.setdefault(key, keyid)
        return list(found.values())

    def demand(self, what: str, signatures: Mapping[str, bytes], payload: bytes) -> str:
        """Raise `SignatureError` unless enough keys have signed `payload`; return how many did."""
        count = len(self.signers(signatures, payload))
        if count < self.threshold:
            raise SignatureError(
                f"{what} is signed by {count} of its keys, and {self.threshold} must"
            )
        return f"signed by {count} of {len(self.keys)} keys, {self.threshold} must"


def _verify_ed25519(key: Key, signature: bytes, payload: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = bytes.fromhex(key.public)
    Ed25519PublicKey.from_public_bytes(public).verify(signature, payload)


def _verify_ecdsa(key: Key, signature: bytes, payload: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    curve, digest = (
        (ec.SECP256R1, SHA256()) if key.scheme.endswith("256") else (ec.SECP384R1, SHA384())
    )
    public = load_pem_public_key(key.public.encode())
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, curve):
        raise ValueError("the key is on another curve")
    public.verify(signature, payload, ec.ECDSA(digest))


def parse_keys(value: Mapping[str, Any]) -> dict[str, Key]:
    """Return the keys of a root or of delegations, by key id."""
    keys = {}
    for keyid, row in value.items():
        kind, scheme, public = row["keytype"], row["scheme"], row["keyval"]["public"]
        if (kind, scheme) not in SCHEMES or not isinstance(public, str):
            raise MalformedError(f"cannot use metadata: it has a key of the scheme {scheme!r:.40}")
        keys[keyid] = Key(scheme, public)
    return keys


def parse_role(value: Mapping[str, Any], keys: Mapping[str, Key]) -> Role:
    """Return a role; ids of keys that `keys` lacks count for nothing."""
    keyids, threshold = value["keyids"], value["threshold"]
    if len(set(keyids)) != len(keyids) or type(threshold) is not int or threshold < 1:
        raise MalformedError("cannot use metadata: a role has no sound threshold")
    return Role({keyid: keys[keyid] for keyid in keyids if keyid in keys}, threshold)
