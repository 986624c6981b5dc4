"""What can go wrong with a virtual machine, told so that it can be acted on."""

from common.errors import ZosError


class MachineError(ZosError):
    """A machine could not be started, or did not do what it was asked."""


class MachineEndedError(MachineError):
    """The machine stopped running while something was still awaited from it."""


class WaitTimeoutError(MachineError):
    """A deadline passed; the message shows what was seen last."""


class GuestError(MachineError):
    """A program on the guest ended in another way than was asked for."""
