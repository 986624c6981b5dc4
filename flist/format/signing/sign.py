"""Signs flists: the text of a file beside the flist, or a signature inside it."""

import hashlib
import io
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.files import write_atomic
from flist.errors import FlistError, SignatureError
from flist.format.signing.signature import parse_signature, sign_digest
from flist.format.signing.trailer import (
    database_size,
    file_sha256,
    join_trailer,
    read_database,
    read_trailer,
)


def sign_flist(path: Path, name: str, private: Ed25519PrivateKey) -> str:
    """Return the text of the signature file for the flist `path`, under `name`."""
    return sign_digest(file_sha256(path), name, private)


def sign_inside(
    path: Path, name: str, private: Ed25519PrivateKey, *, are_others_kept: bool = True
) -> None:
    """Put a signature into the flist `path`; raises `FlistError`.

    A signature by the same key under the same name is replaced, and so are those that do not fit
    the database, or all others if they are not kept.
    """
    try:
        body = read_database(path)
        if database_size(io.BytesIO(body)) != len(body):
            raise FlistError(f"cannot sign {path}: it is cut off, or something was added to it")
        sha256 = hashlib.sha256(body).hexdigest()
        texts = fitting_signatures(path, sha256) if are_others_kept else []
        new = sign_digest(sha256, name, private)
        kept = [text for text in texts if text != new]
        write_atomic(path, join_trailer(body, [*kept, new]), path.stat().st_mode & 0o777)
    except OSError as error:
        raise FlistError(f"cannot sign {path}: {error.strerror}") from error


def fitting_signatures(path: Path, sha256: str) -> list[str]:
    """Return the texts of the signatures inside that are of this digest."""
    try:
        texts = read_trailer(path)[1]
        return [text for text in texts if parse_signature(text).sha256 == sha256]
    except SignatureError:
        return []  # the flist was changed after it was signed
