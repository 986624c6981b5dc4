"""The tests: unit mirrors modules, functional runs real parts, vm boots machines."""
