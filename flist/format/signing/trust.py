"""Decides whether a flist is trusted: where its signature is looked for, and what it must say.

A signature is checked before SQLite opens the file. What is checked is an open file, so that the
caller can use the same bytes afterwards; without one, the file at the path is opened.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from common.files import open_regular
from flist.errors import FlistError, SignatureError
from flist.format.signing.keys import load_public_keys
from flist.format.signing.signature import Signature, parse_signature
from flist.format.signing.trailer import file_sha256, find_trailer, stream_sha256


def demand_signature(
    path: Path,
    keys: Path,
    name: str | None = None,
    signature: Path | None = None,
    stream: BinaryIO | None = None,
) -> str:
    """Check the flist `path` against the key file `keys`; return the name under which it is signed.

    The signature is the file `signature` if that is given, or else inside the flist, or else in
    `<path>.sig`. Without `name`, any name is accepted. Raises `SignatureError`.
    """
    public_keys = load_public_keys(keys)
    beside = signature or path.with_name(path.name + ".sig")
    with opened(path, stream) as flist:
        if signature is None and find_trailer(flist)[1]:
            try:
                return verify_inside(path, name, public_keys, flist)
            except SignatureError:
                if not beside.exists():
                    raise
        found = load_signature(path, beside)
        found.check(path.name, stream_sha256(flist), name or found.name, public_keys)
        return found.name


@contextlib.contextmanager
def opened(path: Path, stream: BinaryIO | None) -> Iterator[BinaryIO]:
    """Give `stream`, or if that is None, the open file `path`; raises `FlistError`."""
    if stream is not None:
        yield stream
        return
    try:
        with open_regular(path) as own:
            yield own
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def read_names(path: Path, stream: BinaryIO | None = None) -> list[str]:
    """Return the names under which the flist `path` says that it is signed; no key is checked.

    Raises `SignatureError` for a signature that can't be good: it is no signature, or one of
    another file.
    """
    beside = path.with_name(path.name + ".sig")
    with opened(path, stream) as flist:
        size, texts = find_trailer(flist)
        inside = [(parse_signature(text), stream_sha256(flist, size)) for text in texts]
        if beside.exists():
            inside.append((load_signature(path, beside), stream_sha256(flist)))
    for found, sha256 in inside:
        if found.sha256 != sha256:
            raise SignatureError(f"cannot trust {path}: it is not the file that was signed")
    return [found.name for found, _ in inside]


def load_signature(path: Path, place: Path) -> Signature:
    """Return the signature of the flist `path` in the file `place`; raises `SignatureError`."""
    try:
        text = place.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise SignatureError(
            f"cannot trust {path}: it has no signature inside, and {place} can't be read",
            hint="`sign` makes one",
        ) from error
    try:
        return parse_signature(text)
    except SignatureError as error:
        error.add_note(f"in {place}")
        raise


def verify_flist(path: Path, sig_text: str, name: str, public_keys: Sequence[bytes]) -> None:
    """Raise `SignatureError` unless one of the keys signed exactly this file under `name`."""
    parse_signature(sig_text).check(path.name, file_sha256(path), name, public_keys)


def verify_inside(
    path: Path, name: str | None, public_keys: Sequence[bytes], stream: BinaryIO | None = None
) -> str:
    """Return the name of the first signature inside the flist by one of the keys.

    With a `name`, only a signature under that name counts. Raises `SignatureError`.
    """
    with opened(path, stream) as flist:
        size, texts = find_trailer(flist)
        sha256 = stream_sha256(flist, size) if texts else ""
    problem = SignatureError(f"{path.name} has no signature inside", hint="`sign --inside`")
    for text in texts:
        try:
            signature = parse_signature(text)
            signature.check(path.name, sha256, name or signature.name, public_keys)
        except SignatureError as error:
            problem = error
        else:
            return signature.name
    raise problem
