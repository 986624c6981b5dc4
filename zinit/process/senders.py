"""Decides whether a service sent a datagram, from the credentials that the kernel attaches to it.

A program may drop its privileges before it reports that it is ready, and several services may run
as one user, so the sender's processes count, not its user: the sender is in the service's session,
or one of its ancestors is, or it is in the service's own control group.
"""

import os

ANCESTOR_LIMIT = 16
PARENT, SESSION = 1, 3  # indexes into the fields of stat after the command


def is_from(service_pid: int, credentials: bytes, uids: tuple[int, int, int]) -> bool:
    """Return whether a sender belongs to the service that runs as `service_pid`.

    `credentials` is a struct ucred: pid, uid, gid. `uids` are root, zinit's own user and the
    service's. Root and zinit's own user may always send. A sender that has ended, as a command in
    a script often has, is known by its user only.
    """
    pid = int.from_bytes(credentials[:4], "little")
    uid = int.from_bytes(credentials[4:8], "little")
    if uid in uids[:2] or pid == service_pid:
        return True
    if pid <= 0:  # in no namespace that we see
        return False
    if read_family(pid) is None:
        return uid == uids[2]
    return is_descendant(pid, service_pid) or shares_cgroup(pid, service_pid)


def is_descendant(pid: int, service_pid: int) -> bool:
    """Return whether `pid` or one of its nearest ancestors is in the service's session."""
    for _ in range(ANCESTOR_LIMIT):
        family = read_family(pid)
        if family is None or pid <= 1:
            return False
        parent, session = family
        if service_pid in (session, parent):
            return True
        pid = parent
    return False


def read_family(pid: int) -> tuple[int, int] | None:
    """Return the parent and the session of a process, or None if it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stream:
            words = stream.read(4096).rpartition(b")")[2].split()
        return int(words[PARENT]), int(words[SESSION])
    except (OSError, ValueError, IndexError):
        return None


def shares_cgroup(pid: int, service_pid: int) -> bool:
    """Return whether both are in one control group that is not zinit's."""
    group = read_cgroup(service_pid)
    return bool(group) and group == read_cgroup(pid) and group != read_cgroup(os.getpid())


def read_cgroup(pid: int) -> bytes:
    """Return the control group of a process; empty if it is unknown."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as stream:
            return stream.read(4096)
    except OSError:
        return b""
