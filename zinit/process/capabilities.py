"""The capabilities of Linux by name, and how a process drops those it must not have."""

from common.capabilities import NUMBERS

LAST = len(NUMBERS) - 1

PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2


def mask_of(names: tuple[str, ...]) -> int:
    """Return the bit mask of `names`."""
    mask = 0
    for name in names:
        mask |= 1 << NUMBERS[name]
    return mask


def limit_bounding_set(names: tuple[str, ...]) -> None:
    """Drop every capability but `names` from the bounding set, which exec cannot exceed."""
    from zinit.process import kernel

    for number in range(LAST + 1):
        if not mask_of(names) >> number & 1:
            kernel.prctl(PR_CAPBSET_DROP, number)


def keep_over_setuid() -> None:
    """Keep the permitted set when the process changes its user."""
    from zinit.process import kernel

    kernel.prctl(PR_SET_KEEPCAPS, 1)


def set_exactly(names: tuple[str, ...]) -> None:
    """Make `names` this process's permitted, effective, inheritable and ambient set."""
    from zinit.process import kernel

    mask = mask_of(names)
    kernel.set_capabilities(mask)
    for name in names:
        kernel.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, NUMBERS[name])


def forbid_new_privileges() -> None:
    """Set no_new_privs: setuid programs give this process and its children nothing."""
    from zinit.process import kernel

    kernel.prctl(PR_SET_NO_NEW_PRIVS, 1)
