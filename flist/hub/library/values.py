"""What the library tells of: repositories, entries, versions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository. `signers` are public keys in hex, of which `threshold` must have signed."""

    id: int
    name: str
    owner: str
    owner_id: int
    is_private: bool
    is_official: bool
    signers: tuple[str, ...]
    threshold: int
    keep_versions: int | None
    updated_s: float


@dataclass(frozen=True, slots=True)
class Entry:
    """What a name in a repository stands for: a flist, a link to one, or a tag link."""

    repository: str
    tag: str
    name: str
    kind: str
    target: str | None
    digest: str
    size: int
    format: str
    changed_s: float


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a flist: the one that is published, or one that was."""

    digest: str
    size: int
    format: str
    published_s: float
    published_by: str
    is_current: bool
    is_signed: bool
    signature: str | None
