"""This server's enrolment tokens (`common.nodes.enrolment`): their key, and one for each image."""

from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bootstrap_server.errors import InputError, SettingsError
from bootstrap_server.options.model import Options
from common.files import read_regular, write_atomic
from common.locks import hold_lock
from common.nodes.enrolment import Enrolment, TokenError, make_token, verify_token

TOKENS_KEPT = 1024  # about 1 MB
FILE_NAME = "enrolment.key"
LOCK_S = 30
KEY_MODE = 0o600


class Enroller:
    """Makes and verifies the tokens of one key; without a key there are none."""

    def __init__(self, key: Ed25519PrivateKey | None) -> None:
        self.key = key
        self.make_token = lru_cache(TOKENS_KEPT)(self._make_token)

    def _make_token(self, options: Options) -> str:
        """Return the token of an image; empty without a farm, which it would be for."""
        if self.key is None or options.farm is None:
            return ""
        enrolment = Enrolment(options.farm, options.run_mode, options.identity)
        return make_token(self.key.sign, enrolment)

    def verify(self, token: str) -> Enrolment | None:
        """Return what a token says; None without a key. Raises `InputError` for a false one."""
        if self.key is None:
            return None
        try:
            return verify_token(self.key.public_key(), token)
        except TokenError as error:
            raise InputError("enrol", error.message, hint=error.hint) from None


def load_key(file: Path | None, state: Path | None) -> Ed25519PrivateKey | None:
    """Return the key in `file`, else the one in the folder `state`, where it is made if need be.

    None if there is neither. Raises `SettingsError`.
    """
    if file is not None:
        return read_key(file)
    if state is None:
        return None
    path = state / FILE_NAME
    with hold_lock(state / f".{FILE_NAME}.lock", "making the enrolment key", LOCK_S):
        if not path.exists():
            form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_atomic(path, Ed25519PrivateKey.generate().private_bytes(*form), KEY_MODE)
    return read_key(path)


def read_key(path: Path) -> Ed25519PrivateKey:
    """Return a private key in PEM. Raises `SettingsError`."""
    try:
        key = load_pem_private_key(read_regular(path), None)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"cannot use {path}: it is no Ed25519 key without a password",
            hint="openssl genpkey -algorithm ed25519 -out FILE makes one",
        )
    return key
