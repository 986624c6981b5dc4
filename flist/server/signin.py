"""What a user signs to sign in to our hub with an Ed25519 key. Pure."""

PURPOSE = "zero-os hub sign-in v1"


def signed_message(host: str, username: str, nonce: str) -> bytes:
    """Return the bytes that a signature is over; `host` is HOST[:PORT] of the hub's URL."""
    return f"{PURPOSE}\n{host.lower()}\n{username}\n{nonce}\n".encode()
