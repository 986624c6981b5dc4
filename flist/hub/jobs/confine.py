"""What keeps a worker from harming its machine: limits, another user, and which hosts it may reach.

A worker reads what strangers made: manifests, layers, archives. It has no way to the database or to
the store, no secrets but a job's own, and as much memory, time and room as the job may have.
"""

import contextlib
import ctypes
import ipaddress
import os
import resource
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

PR_SET_NO_NEW_PRIVS = 38
NOBODY = 65534
OPEN_FILES = 256


class Confinement(NamedTuple):
    """The limits of one worker. `hosts` are those that it may reach at addresses that are not
    public, as HOST or HOST:PORT."""

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    hosts: Sequence[str] = ()


def confine(limits: Confinement) -> None:
    """Limit this process, for good."""
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes, limits.file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    drop_privileges()
    restrict_hosts(limits.hosts)


def drop_privileges() -> None:
    """Become nobody if this is root; no program that is started may gain anything."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


Address = ipaddress.IPv4Address | ipaddress.IPv6Address
WITH_IPV4 = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
"""Networks whose addresses end in an IPv4 address, to which a gateway (NAT64) may lead."""


def restrict_hosts(allowed: Sequence[str]) -> None:
    """Let this process connect to public addresses only, and to the hosts of `allowed`.

    An image's name says which registry is asked, and a registry where its blobs are: neither may
    make the hub talk to what is behind its own firewall. Each connection is checked at the address
    that it goes to, so a name whose address changes meanwhile helps nobody.
    """
    names = {host.lower() for host in allowed}
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **words: Any) -> list[Any]:
        found = resolve(host, port, *args, **words)
        name = host.decode() if isinstance(host, bytes) else str(host)
        if {name.lower(), f"{name}:{port}".lower()} & names:
            return found
        public = [row for row in found if is_public(str(row[4][0]))]
        if not public:
            raise socket.gaierror(socket.EAI_NONAME, f"{name} has no public address")
        return public

    socket.getaddrinfo = getaddrinfo


def is_public(address: str) -> bool:
    """Return whether an address is one of the internet, and not of this machine or network."""
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(address.partition("%")[0])
        target = find_target(found)
        return target.is_global and not (target.is_multicast or found.is_multicast)
    return False


def find_target(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in WITH_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour or address
