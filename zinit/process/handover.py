"""How the parts of the daemon hand their state to the program that replaces it.

A part has `dump`, which returns its state as a dictionary of named fields with JSON's types, and
`restore`, which takes that dictionary in the new program. `dump` of a part that owns descriptors
takes a `HandOver` and passes every descriptor in the state through it: these stay open over exec.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    HandOver = Callable[[int], int]


def restore_each(
    what: str,
    entries: "Iterable[Any]",
    restore: "Callable[[Any], object]",
    report: "Callable[[str], None]",
) -> None:
    """Call `restore` for every entry; an entry that fails is reported and costs no other."""
    for entry in entries:
        try:
            restore(entry)
        except Exception as error:
            report(f"cannot restore {what}: {error}")
