"""Whether a file that has arrived is a flist, which blocks it names, and who has signed it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from flist.errors import FlistError, SignatureError
from flist.format.database import FlistFile
from flist.format.opening import open_unchanging
from flist.format.signing.signature import Signature, parse_signature
from flist.format.signing.trailer import find_trailer, stream_sha256
from flist.hub.errors import HubError, InvalidError, TooLargeError
from flist.hub.library.values import Repository

READ_WITHIN_S = 120.0
MAX_BLOCKS = 4_000_000
"""That is 2 TB of files; their ids take 400 MB of memory."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a flist is: its format, fl or flist, and the ids of all its blocks."""

    format: str
    blocks: frozenset[bytes]


def parse_flist(path: Path) -> Parsed:
    """Read a flist through. Raises `InvalidError`, whose text names no file of this machine."""
    try:
        with open_unchanging(path) as flist:
            if isinstance(flist, FlistFile):
                flist.limit_time(READ_WITHIN_S)
                if flist.find_damage():
                    raise InvalidError("this flist is damaged")
                return Parsed("fl", collect_ids(flist.block_ids()))
            return Parsed("flist", collect_ids(block.id for _, block in flist.all_blocks()))
    except HubError:
        raise
    except FlistError as error:
        raise InvalidError("this is not a flist") from error


def collect_ids(ids: Iterable[bytes]) -> frozenset[bytes]:
    """Return the distinct ids. Raises `TooLargeError`."""
    found: set[bytes] = set()
    for block_id in ids:
        found.add(block_id)
        if len(found) > MAX_BLOCKS:
            raise TooLargeError(f"the flist names more than {MAX_BLOCKS} blocks")
    return frozenset(found)


def signed_name(repo: str, name: str) -> str:
    """Return the name under which a flist of a repository has to be signed."""
    return f"{repo}/{name.rpartition('.')[0]}"


def check_signers(
    repository: Repository, name: str, path: Path, digest: str, beside: Iterable[str]
) -> None:
    """Raise `InvalidError` unless enough of the repository's signers have signed the flist.

    `beside` are the texts of signatures of the whole file, whose SHA-256 is `digest`.
    """
    if not repository.threshold:
        return
    found = [(parse(text), digest) for text in beside]
    try:
        with path.open("rb") as stream:
            size, texts = find_trailer(stream)
            inside = stream_sha256(stream, size) if texts else ""
    except SignatureError as error:
        raise InvalidError(f"the signature inside the flist is wrong: {error.message}") from error
    found += [(parse(text), inside) for text in texts]
    wanted = signed_name(repository.name, name)
    count = sum(has_signed(key, found, wanted) for key in repository.signers)
    if count < repository.threshold:
        raise InvalidError(
            f"{count} of the repository's signers have signed this as {wanted}; it needs "
            f"{repository.threshold}",
            hint="a signature beside the flist is sent first",
        )


def check_signature(repository: Repository, name: str, text: str) -> None:
    """Raise `InvalidError` if a signature beside a flist is by none of those who have to sign."""
    found = parse(text)
    if repository.threshold and found is not None:
        wanted = signed_name(repository.name, name)
        if not any(has_signed(key, [(found, found.sha256)], wanted) for key in repository.signers):
            raise InvalidError(f"none of the repository's signers has signed this as {wanted}")


def has_signed(key: str, found: list[tuple[Signature | None, str]], name: str) -> bool:
    """Return whether one of the signatures is the key's, of that digest and under that name."""
    for signature, digest in found:
        try:
            if signature is not None:
                signature.check("the flist", digest, name, [bytes.fromhex(key)])
                return True
        except SignatureError:
            continue
    return False


def parse(text: str) -> Signature | None:
    """Return the fields of a signature, or None."""
    try:
        return parse_signature(text)
    except SignatureError:
        return None
