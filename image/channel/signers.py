"""Keys that sign: files (PKCS#8 PEM, Ed25519, may be encrypted) and PKCS#11 tokens (ECDSA).

A token's key is named by a URI of RFC 7512, as `pkcs11:token=LABEL;id=%02?module-path=FILE`.
securesystemslib signs with tokens by ECDSA on NIST P-256 or P-384 only, as most tokens do.
"""

import functools
import getpass
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import CryptoSigner, HSMSigner, Key, Signer
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata

from common.files import open_regular, write_atomic
from common.tuf.canonical import encode_canonical
from image.errors import ImageError

TOKEN = "pkcs11:"  # noqa: S105 - the scheme of a URI
KEY_MAX_BYTES = 1 << 16
PASSPHRASE = "ZOS_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
PIN = "ZOS_PKCS11_PIN"

Keyring = Mapping[str, Signer]


def load_keyring(sources: Iterable[str]) -> Keyring:
    """Return the signers of all `sources`, by key id.

    A source is a URI, a file, or a folder: its `*.pem` files, and its `*.uri` files with one URI.
    """
    found = [signer for source in sources for signer in load_source(source)]
    return {signer.public_key.keyid: signer for signer in found}


def load_public(source: str) -> Key:
    """Return a public key: of a `.pub` file, or of what `load_source` takes."""
    if not source.endswith(".pub"):
        return load_source(source)[0].public_key
    try:
        value = json.loads(Path(source).read_bytes())
        text = encode_canonical({name: value[name] for name in ("keytype", "scheme", "keyval")})
        return Key.from_dict(hashlib.sha256(text).hexdigest(), value)
    except OSError as error:
        raise ImageError(f"cannot read the key {source}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ImageError(f"cannot use the key {source}: it is no public key") from error


def public_text(key: Key) -> str:
    """Return a public key as the content of a `.pub` file."""
    return json.dumps(key.to_dict(), indent=2) + "\n"


def load_source(source: str) -> list[Signer]:
    """Return the signers of one source."""
    if source.startswith(TOKEN):
        return [load_token(source)]
    path = Path(source)
    if not path.is_dir():
        return [load_file(path)]
    return [load_file(file) for file in sorted(path.iterdir()) if file.suffix in (".pem", ".uri")]


def load_file(path: Path) -> Signer:
    """Return the signer of a key file, or of the URI in a `.uri` file."""
    data = read_private(path)
    if path.suffix == ".uri":
        return load_token(data.decode(errors="replace").strip())
    try:
        private = load_pem_private_key(data, None)
    except TypeError:
        private = decrypt(path, data)
    except ValueError as error:
        raise ImageError(f"cannot use the key {path}: it is no private key in PEM") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ImageError(f"cannot use the key {path}: it is not an Ed25519 key")
    return CryptoSigner(private)


def decrypt(path: Path, data: bytes) -> Any:
    """Return the private key of an encrypted file."""
    secret = ask(PASSPHRASE, f"passphrase of {path}")
    try:
        return load_pem_private_key(data, secret.encode())
    except ValueError as error:
        raise ImageError(f"cannot use the key {path}: the passphrase is wrong") from error


def read_private(path: Path) -> bytes:
    """Return the content of a file that only its owner can read."""
    try:
        with open_regular(path) as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            data = stream.read(KEY_MAX_BYTES)
    except OSError as error:
        raise ImageError(f"cannot read the key {path}: {error.strerror}") from error
    if mode & 0o077:
        raise ImageError(
            f"cannot use the key {path}: others than its owner can read it (mode {mode:o})",
            hint=f"chmod 600 {path}",
        )
    return data


def make_key(path: Path, *, is_encrypted: bool = False) -> CryptoSigner:
    """Write a new Ed25519 key to `path`, for its owner only, and its public key beside it.

    An existing private key is never replaced.
    """
    signer = CryptoSigner.generate_ed25519()
    form: Any = NoEncryption()
    if is_encrypted:
        form = BestAvailableEncryption(ask(PASSPHRASE, f"new passphrase of {path}").encode())
    private = signer._private_key
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, form)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            raise ImageError(f"cannot write {path}: it exists already", hint="move it away")
        write_atomic(path.with_suffix(".pub"), public_text(signer.public_key).encode())
        write_atomic(path, data, mode=0o600)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror}") from error
    return signer


def load_token(uri: str) -> Signer:
    """Return the signer of a key in a PKCS#11 token."""
    about = parse_uri(uri)
    os.environ["PYKCS11LIB"] = about["module-path"]  # where securesystemslib looks for it
    number = int.from_bytes(about["id"].encode("latin-1"))

    def pin(_: str) -> str:
        return read_pin(about)

    try:
        place, public = HSMSigner.import_(number, about["token"], pin)
        return HSMSigner.from_priv_key_uri(place, public, pin)
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"cannot use the key {hide_pin(uri)}: {error or type(error).__name__}",
            hint="an ECDSA key on P-256 or P-384 is needed; `pkcs11-tool --list-objects` shows all",
        ) from error


def parse_uri(uri: str) -> dict[str, str]:
    """Return the attributes of a PKCS#11 URI; the bytes of the id are as Latin-1."""
    path, _, query = uri.removeprefix(TOKEN).partition("?")
    words = (word.partition("=") for word in (*path.split(";"), *query.split("&")) if word)
    found = {name: unquote(value, "latin-1") for name, _, value in words}
    found.setdefault("module-path", os.environ.get("PYKCS11LIB", ""))
    if not all(found.get(name) for name in ("token", "id", "module-path")):
        raise ImageError(
            f"cannot use the key {hide_pin(uri)}: it lacks token, id or module-path",
            hint="pkcs11:token=LABEL;id=%02?module-path=/usr/lib/softhsm/libsofthsm2.so",
        )
    found["token"] = found["token"].encode("latin-1").decode(errors="replace")
    return found


def hide_pin(uri: str) -> str:
    """Return the part of a URI that names the key; the rest may have a PIN."""
    return uri.partition("?")[0]


def read_pin(about: Mapping[str, str]) -> str:
    """Return the PIN that the URI has, or whose file it names; else ask for it."""
    if pin := about.get("pin-value"):
        return pin
    if source := about.get("pin-source"):
        return read_private(Path(source.removeprefix("file:"))).decode(errors="replace").strip()
    return ask(PIN, f"PIN of the token {about['token']}")


def ask(variable: str, what: str) -> str:
    """Return a secret from the environment, or ask for it on the terminal."""
    if secret := os.environ.get(variable):
        return secret
    if not sys.stdin.isatty():
        raise ImageError(f"cannot ask for the {what}: there is no terminal", hint=f"set {variable}")
    return prompt(f"{what}: ")


@functools.cache
def prompt(text: str) -> str:
    """Ask for a secret once; a change may need several signatures of one key."""
    return getpass.getpass(text)


def add_signature(metadata: Metadata[Any], signer: Signer) -> None:
    """Sign metadata, beside the signatures that it has."""
    try:
        metadata.sign(signer, append=True)
    except UnsignedMetadataError as error:
        reason = error.__cause__ or error
        raise ImageError(
            f"cannot sign with the key {signer.public_key.keyid[:12]}: "
            f"{reason if str(reason) else type(reason).__name__}",
            hint="is the token there, and its PIN right?",
        ) from error
