"""Graphs of dependencies: groups, cycles, and the order of a shutdown.

`after` maps a name to the names that it waits for; these may lack an entry of their own.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def find_groups(after: "Mapping[str, Sequence[str]]") -> dict[str, int]:
    """Return the group number of each name: names that wait for each other share one.

    Tarjan's algorithm for strongly connected components, without recursion; linear in names plus
    edges.
    """
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    group: dict[str, int] = {}
    stack: list[str] = []
    for root in after:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        path = [(root, iter(after[root]))]
        while path:
            name, rest = path[-1]
            below = next((dep for dep in rest if dep in after and dep not in group), None)
            if below is None:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[name])
                if low[name] == index[name]:
                    close_group(name, stack, group)
            elif below in index:
                low[name] = min(low[name], index[below])
            else:
                index[below] = low[below] = len(index)
                stack.append(below)
                path.append((below, iter(after[below])))
    return group


def close_group(name: str, stack: list[str], group: dict[str, int]) -> None:
    """Move the complete group of `name` from the stack to `group`."""
    number = len(group)
    while True:
        member = stack.pop()
        group[member] = number
        if member == name:
            return


def find_cycles(after: "Mapping[str, Sequence[str]]") -> list[list[str]]:
    """Return each group of names that wait for each other, or for themselves, sorted."""
    members: dict[int, list[str]] = {}
    for name, number in find_groups(after).items():
        members.setdefault(number, []).append(name)
    return [
        sorted(names) for names in members.values() if len(names) > 1 or names[0] in after[names[0]]
    ]


class StopOrder:
    """The order of a shutdown: a service stops after all its direct and indirect dependents.

    The names of one cycle stop together, and their dependencies after the last of them.
    """

    __slots__ = ("_below", "_group", "_left", "_members", "_waiting")

    def __init__(self, after: "Mapping[str, Iterable[str]]") -> None:
        unique = {name: tuple(dict.fromkeys(deps)) for name, deps in after.items()}
        self._group = find_groups(unique)
        self._members: dict[int, list[str]] = {}  # group -> its names
        self._below: dict[int, set[int]] = {}  # group -> groups it waits for
        for name, number in self._group.items():
            self._members.setdefault(number, []).append(name)
            below = self._below.setdefault(number, set())
            below.update(self._group[dep] for dep in unique[name] if dep in self._group)
        self._left = {number: set(names) for number, names in self._members.items()}
        self._waiting = dict.fromkeys(self._members, 0)  # group -> number of its dependents
        for number, below in self._below.items():
            below.discard(number)
            for other in below:
                self._waiting[other] += 1

    def first(self) -> list[str]:
        """Return the names without dependents."""
        free = [number for number, count in self._waiting.items() if not count]
        return [name for number in free for name in self._members[number]]

    def release(self, name: str) -> list[str]:
        """Note that `name` is down; return the names that may stop now."""
        number = self._group[name]
        left = self._left[number]
        if name not in left:
            return []
        left.discard(name)
        if left:
            return []
        free: list[str] = []
        for other in self._below[number]:
            self._waiting[other] -= 1
            if not self._waiting[other]:
                free += self._members[other]
        return free
