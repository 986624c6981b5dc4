"""RSA keys for Secure Boot and measured boot: in PEM files, or in a PKCS#11 token.

A key is named by its file, or by a URI (RFC 7512) with the library of the token:

    pkcs11:token=release;object=db?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=PIN_FILE

A private key in a token never leaves it.
"""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.efi.errors import EfiError
from common.efi.keys import URI, Key, Signer, hide_pin


def open_signer(key: str, certificate: Path) -> Signer:
    """Return the signer; raise `EfiError` if the key is not that of the certificate."""
    pair, owner = open_key(key), read_certificate(certificate)
    if owner.public_key() != pair.public:
        raise EfiError(f"the certificate {certificate} is not that of the key {hide_pin(key)}")
    return Signer(owner, pair.sign)


def open_key(name: str) -> Key:
    """Return the key pair of a file or a PKCS#11 URI. Raises `EfiError`."""
    if name.startswith(URI):
        from common.efi.token import open_token_key  # its library is optional

        return open_token_key(name)
    return read_key(Path(name))


def read_key(path: Path) -> Key:
    """Return the RSA key in a PEM file that only its owner may read. Raises `EfiError`."""
    try:
        refuse_shared(path)
        private = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise EfiError(
            f"cannot read the key {path}: {error.strerror}",
            hint="`zos image enroll KEYS --make-keys OWNER --output DIR` makes keys",
        ) from error
    except TypeError as error:
        raise EfiError(
            f"cannot use the key {path}: it is encrypted", hint="keep it in a PKCS#11 token"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EfiError(f"cannot use the key {path}: not a private key in PEM") from error
    if not isinstance(private, RSAPrivateKey):
        raise EfiError(f"cannot use the key {path}: firmware reads RSA keys only")
    return Key(private.public_key(), lambda data: private.sign(data, PKCS1v15(), SHA256()))


def refuse_shared(path: Path) -> None:
    """Raise `EfiError` if other users may read a private key."""
    if path.stat().st_mode & 0o077:
        raise EfiError(
            f"cannot use the key {path}: other users may read it", hint=f"chmod 600 {path}"
        )


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate of an RSA key in a PEM file. Raises `EfiError`."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        public = certificate.public_key()
    except OSError as error:
        raise EfiError(f"cannot read the certificate {path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise EfiError(f"cannot use the certificate {path}: not one in PEM") from error
    if not isinstance(public, RSAPublicKey):
        raise EfiError(f"cannot use the certificate {path}: firmware reads RSA keys only")
    return certificate
