"""RSA keys in PKCS#11 tokens: smart cards, hardware security modules, SoftHSM."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import PyKCS11
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from common.efi.errors import EfiError
from common.efi.keys import URI, Key, hide_pin

KNOWN = ("token", "object", "id", "type", "module-path", "pin-source", "pin-value")


def parse_uri(uri: str) -> dict[str, str]:
    """Return the attributes of a PKCS#11 URI. Raises `EfiError`."""
    path, _, query = uri.removeprefix(URI).partition("?")
    words = [word for word in (*path.split(";"), *query.split("&")) if word]
    found = {name: unquote(value) for name, _, value in (word.partition("=") for word in words)}
    if unknown := [name for name in found if name not in KNOWN]:
        raise EfiError(f"cannot use {hide_pin(uri)}: unknown attribute {unknown[0]!r}")
    if lacking := [name for name in ("token", "object", "module-path") if name not in found]:
        raise EfiError(
            f"cannot use {hide_pin(uri)}: it has no {lacking[0]}",
            hint="pkcs11:token=T;object=KEY?module-path=LIBRARY.so&pin-source=FILE",
        )
    return found


def open_token_key(uri: str) -> Key:
    """Return the key pair that `uri` names; each signature opens the token anew."""
    about = parse_uri(uri)
    with session_of(uri, about) as session:
        numbers = find(session, PyKCS11.CKO_PUBLIC_KEY, about)
        wanted = [PyKCS11.CKA_PUBLIC_EXPONENT, PyKCS11.CKA_MODULUS]
        exponent, modulus = (
            int.from_bytes(bytes(value), "big")
            for value in session.getAttributeValue(numbers, wanted)
        )
        find(session, PyKCS11.CKO_PRIVATE_KEY, about)

    def sign(data: bytes) -> bytes:
        with session_of(uri, about) as session:
            private = find(session, PyKCS11.CKO_PRIVATE_KEY, about)
            mechanism = PyKCS11.Mechanism(PyKCS11.CKM_SHA256_RSA_PKCS, None)
            return bytes(session.sign(private, data, mechanism))

    return Key(RSAPublicNumbers(exponent, modulus).public_key(), sign)


@contextlib.contextmanager
def session_of(uri: str, about: dict[str, str]) -> Iterator[Any]:
    """Open a session with the token and log in, if there is a PIN."""
    library = PyKCS11.PyKCS11Lib()
    try:
        library.load(about["module-path"])
        session = library.openSession(find_slot(library, about["token"]))
        try:
            if pin := read_pin(about):
                session.login(pin)
            yield session
        finally:
            session.closeSession()
    except PyKCS11.PyKCS11Error as error:
        raise EfiError(f"cannot use {hide_pin(uri)}: {error}") from error


def find_slot(library: Any, label: str) -> int:
    """Return the slot of the token `label`."""
    for slot in library.getSlotList(tokenPresent=True):
        if library.getTokenInfo(slot).label.strip("\0 ") == label:
            return int(slot)
    raise EfiError(f"cannot find the PKCS#11 token {label!r}")


def find(session: Any, kind: int, about: dict[str, str]) -> Any:
    """Return the one RSA object of this kind that the URI names."""
    template = [
        (PyKCS11.CKA_CLASS, kind),
        (PyKCS11.CKA_KEY_TYPE, PyKCS11.CKK_RSA),
        (PyKCS11.CKA_LABEL, about["object"]),
    ]
    if "id" in about:
        template.append((PyKCS11.CKA_ID, tuple(about["id"].encode("latin-1"))))
    found = session.findObjects(template)
    if len(found) != 1:
        what = "private" if kind == PyKCS11.CKO_PRIVATE_KEY else "public"
        count = f"{len(found)} {what} RSA keys" if found else f"no {what} RSA key"
        raise EfiError(f"the token {about['token']!r} has {count} {about['object']!r}")
    return found[0]


def read_pin(about: dict[str, str]) -> str:
    """Return the PIN that the URI has or whose file it names; "" if neither."""
    if "pin-source" not in about:
        return about.get("pin-value", "")
    path = Path(about["pin-source"].removeprefix("file:"))
    try:
        return path.read_text().strip()
    except OSError as error:
        raise EfiError(f"cannot read the PIN in {path}: {error.strerror}") from error
