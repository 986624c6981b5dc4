"""From what a user calls a node to the node: its id, which the connection must prove, and where."""

import contextlib
import queue
import threading
import time
from collections.abc import Sequence

from common.errors import ZosError
from common.nodes.nodeid import parse_node_id
from core.remote.client import CONNECT_S, Target, learn_node, prove
from core.remote.discover import discover
from core.remote.errors import RemoteError
from core.remote.known import Known, join_address, split_address

PROVE_S = 2 * CONNECT_S
PLACES_MAX = 16  # an announcement may name any number
HINT = "-n NODEID@ADDRESS"
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
    """Return a node at an address that it announces, or where it was: the first that proves it."""
    targets = [Target(node, *split_address(address)) for address in known.find(node)]
    targets += [
        Target(node, address, found.record.port)
        for found in discover(node=node)
        if found.record.node == node
        for address in found.addresses
    ]
    targets = list(dict.fromkeys(targets))[:PLACES_MAX]
    if not targets:
        raise RemoteError(
            f"cannot find the node {node}: it does not answer on the local network", hint=HINT
        )
    return targets[0] if len(targets) == 1 else choose(targets)


def choose(targets: Sequence[Target]) -> Target:
    """Return the target that proves first that it is the node; all are tried at once."""
    answers: queue.Queue[tuple[Target, RemoteError | None]] = queue.Queue()
    for target in targets:
        threading.Thread(target=ask, args=(target, answers), daemon=True).start()
    deadline = time.monotonic() + PROVE_S
    reasons = {target: f"{target.address}: no answer within {PROVE_S:g} s" for target in targets}
    with contextlib.suppress(queue.Empty):
        for _ in targets:
            target, error = answers.get(timeout=max(deadline - time.monotonic(), 0))
            if error is None:
                return target
            reasons[target] = error.message
    told = "; ".join(reasons.values())
    raise RemoteError(f"cannot reach the node {targets[0].node}: {told}", hint=HINT)


def ask(target: Target, answers: "queue.Queue[tuple[Target, RemoteError | None]]") -> None:
    """Put into the queue whether the node answers at an address."""
    try:
        prove(target)
        answers.put((target, None))
    except RemoteError as error:
        answers.put((target, error))


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
