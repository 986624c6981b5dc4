"""Pure questions about who waits for whom.

`after` maps a name to the names it waits for; names without an entry are allowed.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def find_groups(after: "Mapping[str, Sequence[str]]") -> dict[str, int]:
    """Return for each name the number of its group: names that wait for each other share one.

    Tarjan's algorithm without recursion, linear in names plus edges.
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
    """Take the finished group of `name` off the stack."""
    number = len(group)
    while True:
        member = stack.pop()
        group[member] = number
        if member == name:
            return


def find_cycles(after: "Mapping[str, Sequence[str]]") -> list[list[str]]:
    """Return the sets of names that wait for each other (or for themselves), each sorted."""
    members: dict[int, list[str]] = {}
    for name, number in find_groups(after).items():
        members.setdefault(number, []).append(name)
    return [
        sorted(names) for names in members.values() if len(names) > 1 or names[0] in after[names[0]]
    ]


class StopOrder:
    """Who may stop now: a service after all that wait for it, also through others.

    Names in one cycle don't hold each other up.
    """

    __slots__ = ("_after", "_waiting")

    def __init__(self, after: "Mapping[str, Iterable[str]]") -> None:
        unique = {name: tuple(dict.fromkeys(deps)) for name, deps in after.items()}
        group = find_groups(unique)
        self._after = {
            name: [dep for dep in deps if dep in group and group[dep] != group[name]]
            for name, deps in unique.items()
        }
        self._waiting = dict.fromkeys(unique, 0)
        for deps in self._after.values():
            for dep in deps:
                self._waiting[dep] += 1

    def first(self) -> list[str]:
        """Return the names that nobody waits for."""
        return [name for name, count in self._waiting.items() if not count]

    def release(self, name: str) -> list[str]:
        """Note that `name` is down; return the names that may stop because of that."""
        free = []
        for dep in self._after.pop(name, ()):
            self._waiting[dep] -= 1
            if not self._waiting[dep]:
                free.append(dep)
        return free
