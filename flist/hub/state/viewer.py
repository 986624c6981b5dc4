"""Who asks, and what they may do."""

from dataclasses import dataclass

READ, UPLOAD, PUBLISH, ADMIN = "read", "upload", "publish", "admin"
SCOPES = (READ, UPLOAD, PUBLISH, ADMIN)


@dataclass(frozen=True, slots=True)
class Viewer:
    """The account of a request with what its token allows; without a name: anybody.

    `groups` are the groups that the account is a member of. `repository` limits a token to one.
    """

    name: str = ""
    account_id: int = 0
    scopes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    group_ids: frozenset[int] = frozenset()
    is_admin: bool = False
    repository: str | None = None
    address: str = ""

    @property
    def is_known(self) -> bool:
        """Return whether the request carried a valid token."""
        return bool(self.name)


ANYBODY = Viewer()
