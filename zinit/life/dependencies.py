"""The dependencies between units, and whether they are met."""

from zinit.life.graph import find_groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service
    from zinit.life.unit import Unit


class Dependencies:
    """The dependencies of the manager's `units`."""

    def __init__(self, units: "dict[str, Unit]") -> None:
        self._units = units
        self._dependents: dict[str, dict[str, None]] = {}
        self._groups: dict[str, int] | None = (
            None  # of mutually dependent units; None: to be computed
        )

    def link(self, unit: "Unit") -> None:
        """Add the dependencies of a unit."""
        self._link(unit.name, unit.record.service)

    def _link(self, name: str, service: "Service") -> None:
        self._groups = None
        for edge in service.edges:
            self._dependents.setdefault(edge, {})[name] = None

    def unlink(self, unit: "Unit") -> None:
        """Remove the dependencies of a unit."""
        self._groups = None
        for name in unit.record.service.edges:
            self._dependents.get(name, {}).pop(unit.name, None)

    def relink(self, unit: "Unit", service: "Service") -> None:
        """Note that `unit` gets another `service`; its record still has the old one."""
        if unit.record.service.edges == service.edges:
            return
        self.unlink(unit)
        self._link(unit.name, service)

    def dependents(self, name: str) -> "list[Unit]":
        """Return the units that depend on `name`."""
        return [self._units[other] for other in self._dependents.get(name, ())]

    def unmet(self, service: "Service") -> set[str]:
        """Return the names that `service` has to wait for."""
        return {name for name in service.edges if not self.is_met(service, name)}

    def is_met(self, service: "Service", name: str) -> bool:
        """Return whether `service` need not wait for its dependency `name`."""
        unit = self._units.get(name)
        if name in service.after or name in service.requires:
            return unit is not None and unit.record.satisfies
        if unit is None or self._is_mutual(service.name, name):
            return True
        return unit.record.is_settled and not unit.is_new

    def edges(self) -> dict[str, tuple[str, ...]]:
        """Return the dependencies of every unit, by name."""
        return {name: unit.record.service.edges for name, unit in self._units.items()}

    def _is_mutual(self, one: str, other: str) -> bool:
        if self._groups is None:
            self._groups = find_groups(self.edges())
        return self._groups.get(one) == self._groups.get(other)
