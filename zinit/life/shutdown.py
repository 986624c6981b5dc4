"""A shutdown in progress: who was told to stop, who is down, who is next. Pure."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.graph import StopOrder


class Closing:
    """Stops services in order; `stop(name)` tells one to stop and returns whether it is down."""

    def __init__(self, order: "StopOrder", stop: "Callable[[str], bool]") -> None:
        self._order = order
        self._stop = stop
        self._stopping: set[str] = set()
        self._is_begun = False

    @property
    def is_finished(self) -> bool:
        """Whether everything is down."""
        return self._is_begun and not self._stopping

    def begin(self) -> None:
        """Stop those that nobody waits for."""
        self._advance(self._order.first())
        self._is_begun = True

    def on_down(self, name: str) -> None:
        """Go on if `name` is one that we wait for."""
        if name in self._stopping:
            self._advance(self._order.release(name))
            self._stopping.discard(name)

    def _advance(self, names: list[str]) -> None:
        """Stop `names` and, as far as they are down already, what that frees."""
        while names:
            name = names.pop()
            if self._stop(name):
                names += self._order.release(name)
            else:
                self._stopping.add(name)
