"""Which backends get the shards of a file: as many failures as demanded must leave enough.

The rule is upstream's: after the loss of the `redundant_groups` groups with most shards, and of
`redundant_nodes` backends in each other group, k shards are left. Upstream draws from all ways to
choose; here the most even distribution that satisfies the rule is computed.
"""

import random
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import NamedTuple

from zstor.config import Config
from zstor.errors import PlacementError
from zstor.model import Backend

NOT_ENOUGH = "unable to find a valid configuration due to redundancy settings"
NO_DISTRIBUTION = (
    "could not find any viable backend distribution to satisfy the redundancy requirement"
)


class Rule(NamedTuple):
    """What must be left of how many shards after which losses."""

    needed: int
    total: int
    lost_groups: int
    lost_nodes: int

    def survivors(self, shares: Sequence[int]) -> int:
        """Return how many shards the worst losses leave of these shares of the groups."""
        kept = sorted(shares)[: max(0, len(shares) - self.lost_groups)]
        return sum(max(0, share - self.lost_nodes) for share in kept)


def share_out(rule: Rule, room: Sequence[int], kept: Sequence[int]) -> list[int] | None:
    """Return each group's number of shards, or None if no numbers satisfy the rule.

    `room` has the largest numbers, `kept` the smallest: shards that stay where they are. The most
    even numbers come first. Those may lose more nodes than need be: a loss in each group costs
    least where few groups are full. So for each bound on a group's share the largest groups are
    filled up to it, one after another.
    """
    if sum(room) < rule.total or sum(kept) > rule.total:
        return None
    bounds = range(1, max(room) + 1)
    candidates = [_level(rule.total, room, kept), *(_fill(rule, b, room, kept) for b in bounds)]
    return next((c for c in candidates if c and rule.survivors(c) >= rule.needed), None)


def _level(total: int, room: Sequence[int], kept: Sequence[int]) -> list[int]:
    """Return the most even shares: the smallest group that has room gets the next shard."""
    shares = list(kept)
    for _ in range(total - sum(kept)):
        free = [i for i, share in enumerate(shares) if share < room[i]]
        shares[min(free, key=lambda i: shares[i])] += 1
    return shares


def _fill(rule: Rule, bound: int, room: Sequence[int], kept: Sequence[int]) -> list[int] | None:
    """Return shares of at most `bound`, the groups with most room first."""
    shares = list(kept)
    left = rule.total - sum(kept)
    for i in sorted(range(len(room)), key=lambda i: (-min(room[i], bound), -kept[i])):
        more = max(0, min(left, min(room[i], bound) - shares[i]))
        shares[i] += more
        left -= more
    return None if left else shares


def place_shards(
    config: Config,
    kept: Collection[Backend] = (),
    avoided: Collection[Backend] = (),
    draw: random.Random | None = None,
) -> list[Backend]:
    """Return the backends of all shards, in the order of the shards.

    Shards on `kept` stay there, and are not among those that are returned; `avoided` get none.
    Neighbours in the order are in different groups, so the loss of a group spares most data shards.
    """
    draw = draw or random.SystemRandom()
    groups = [list(group) for group in config.data_groups]
    draw.shuffle(groups)
    free = [[b for b in group if b not in kept and b not in avoided] for group in groups]
    staying = [sum(b in kept for b in group) for group in groups]
    elsewhere = len(set(kept)) - sum(staying)  # on backends that are no longer configured
    rule = Rule(
        *(config.minimal_shards, config.expected_shards),
        *(config.redundant_groups, config.redundant_nodes),
    )
    groups_full = [*(len(own) + stay for own, stay in zip(free, staying, strict=True)), elsewhere]
    shares = share_out(rule, groups_full, [*staying, elsewhere])
    if shares is None:
        raise PlacementError(
            f"cannot place {rule.total} shards: {_reason(rule, groups_full)}",
            hint="add backends or groups, more parity, or demand less redundancy",
        )
    chosen = [
        draw.sample(own, share - stay)
        for own, share, stay in zip(free, shares, staying, strict=False)
    ]
    return interleave(chosen)


def _reason(rule: Rule, room: Sequence[int]) -> str:
    if sum(room) < rule.total:
        return f"only {sum(room)} backends are usable"
    return NO_DISTRIBUTION


def interleave(groups: Sequence[Sequence[Backend]]) -> list[Backend]:
    """Return one backend of each group in turn."""
    rounds = zip_longest(*groups)
    return [backend for turn in rounds for backend in turn if backend is not None]
