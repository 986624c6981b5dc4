"""A shutdown in progress."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.graph import StopOrder


class Closing:
    """Stops services in order. `stop(name)` stops one and returns whether it is already down."""

    def __init__(self, order: "StopOrder", stop: "Callable[[str], bool]") -> None:
        self._order = order
        self._stop = stop
        self._stopping: set[str] = set()
        self._is_begun = False

    @property
    def is_finished(self) -> bool:
        """Whether all services are down."""
        return self._is_begun and not self._stopping

    def begin(self) -> None:
        """Stop the services without dependents."""
        self._advance(self._order.first())
        self._is_begun = True

    def on_down(self, name: str) -> None:
        """Go on after the end of `name`, if it is one of those that were stopped."""
        if name in self._stopping:
            self._advance(self._order.release(name))
            self._stopping.discard(name)

    def _advance(self, names: list[str]) -> None:
        """Stop `names`; for each that is already down, also the services that it releases."""
        while names:
            name = names.pop()
            if self._stop(name):
                names += self._order.release(name)
            else:
                self._stopping.add(name)
