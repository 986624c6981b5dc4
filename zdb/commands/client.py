"""What the server knows of a client: where it is and what it may."""

from typing import NamedTuple

from zdb.storage.namespace import Namespace


class Wait(NamedTuple):
    """A client waits for a command of another one; `command` None: for any."""

    command: bytes | None
    namespace: Namespace
    deadline: float


class Client:
    """One client. `replies` go to it at the end of the loop's turn, after the commit."""

    __slots__ = (
        *("is_admin", "is_ending", "is_master", "is_mirror", "is_writable"),
        *("namespace", "nonce", "owner", "replies", "wait", "written"),
    )

    def __init__(self, namespace: Namespace, *, is_admin: bool, is_writable: bool) -> None:
        self.namespace: Namespace | None = namespace  # None: it was deleted
        self.is_admin = is_admin
        self.is_writable = is_writable
        self.is_master = False  # its requests end with the number of their owner
        self.is_mirror = False  # it is sent all requests of others
        self.is_ending = False  # it is closed after its replies
        self.nonce: bytes | None = None
        self.owner = 0
        self.wait: Wait | None = None
        self.replies: list[bytes] = []
        self.written: list[tuple[int, Namespace]] = []
        """Which of the replies promise a change, and where: a failed commit makes them errors."""
