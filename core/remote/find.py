"""From what a user calls a node to the node: its id, which the connection must prove, and where."""

from common.errors import ZosError
from common.nodes.nodeid import parse_node_id
from core.remote.client import Target, learn_node
from core.remote.discover import discover
from core.remote.errors import RemoteError
from core.remote.known import Known, join_address, split_address

PIN_HINT = "-n NODEID@ADDRESS says which node it is (its screen shows the id), or --trust-first"


def find_node(text: str, known: Known, *, trust_first: bool) -> Target:
    """Return the node that NODEID, NODEID@ADDRESS or ADDRESS names. Raises `RemoteError`."""
    node, has_both, address = text.rpartition("@")
    if has_both:
        return pinned(node, address, known)
    if is_node_id(text):
        return find_by_id(text, known)
    host, port = split_address(text)
    return find_by_address(host, port, known, trust_first=trust_first)


def is_node_id(text: str) -> bool:
    """Return whether a text is a node's id."""
    try:
        parse_node_id(text)
    except ZosError:
        return False
    return True


def pinned(node: str, address: str, known: Known) -> Target:
    """Return a node whose id the user says, unless another one is known at the address."""
    parse_node_id(node)
    host, port = split_address(address)
    check_known(known, join_address(host, port), node)
    return Target(node, host, port)


def check_known(known: Known, address: str, node: str) -> None:
    """Raise `RemoteError` if another node is known at an address."""
    before = known.read().get(address)
    if before not in (None, node):
        raise RemoteError(
            f"at {address} there was the node {before}, and not {node}",
            hint=f"if that is right, remove its line from {known.path}",
        )


def find_by_id(node: str, known: Known) -> Target:
    """Return a node where it announces itself, else where it was last."""
    for found in discover(node=node):
        if found.record.node == node and found.addresses:
            return Target(node, found.addresses[0], found.record.port)
    if address := known.find(node):
        return Target(node, *split_address(address))
    raise RemoteError(
        f"cannot find the node {node}: it does not answer on the local network",
        hint="-n NODEID@ADDRESS",
    )


def find_by_address(host: str, port: int, known: Known, *, trust_first: bool) -> Target:
    """Return the node that is known at an address; with `trust_first`, whichever answers there."""
    address = join_address(host, port)
    node = known.read().get(address)
    if node is None and not trust_first:
        raise RemoteError(f"which node is at {address} is not known", hint=PIN_HINT)
    if node is None:
        node = learn_node(host, port)
        known.remember(address, node)
    return Target(node, host, port)
