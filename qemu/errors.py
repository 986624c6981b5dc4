"""Errors of virtual machines."""

from common.errors import ZosError


class MachineError(ZosError):
    """A machine could not be started, or did not do what was requested."""


class MachineEndedError(MachineError):
    """The machine ended during a wait."""


class WaitTimeoutError(MachineError):
    """A wait reached its deadline; the message shows the last observation."""


class GuestError(MachineError):
    """A program on the guest ended otherwise than expected."""
