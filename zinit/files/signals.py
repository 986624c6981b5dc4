"""Signal names and numbers of Linux, as upstream's zinit (the Rust crate `nix`) spells them.

The standard `signal` module would cost PID 1 the import of `enum`.
"""

NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP "
    "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
NUMBERS = {f"SIG{name}": number for number, name in enumerate(NAMES.split(), 1)}
SIGNAMES = {number: name for name, number in NUMBERS.items()}

SIGHUP = 1
SIGINT = 2
SIGABRT = 6
SIGKILL = 9
SIGPIPE = 13
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGPWR = 30


def parse_signal(text: str) -> int:
    """Return the number of a full name (`SIGTERM`, in any case); raises `ValueError`."""
    number = NUMBERS.get(text.upper())
    if number is None:
        raise ValueError(f"unknown signal {text!r}")
    return number


def name_signal(number: int) -> str:
    """Return the full name of a signal."""
    return SIGNAMES.get(number, f"SIG{number}")
