"""Kernel parameters that a farmer may add: which, in what form, and which never.

A parameter consists of characters that have no special meaning in iPXE, a shell, HTML or a URL's
query, so it can stand in a script and on a page as it is.
"""

import re
from collections.abc import Iterable

from bootstrap_server.errors import InputError

EXTRA_MAX_CHARS = 1024
PARAMETER_MAX_CHARS = 256
PARAMETERS_MAX = 32

# A parameter starts with a lower-case letter or a digit. It is therefore never a separator of iPXE
# or kernel options ("-", "--"), and never an environment variable like LD_PRELOAD: the kernel
# passes each parameter that it does not know to the first process in its environment.
_PARAMETER = re.compile(r"[a-z0-9][A-Za-z0-9._:,=/@+-]*")
_CHARACTERS = re.compile(r"[A-Za-z0-9._:,=/@+ -]*")
SLASH = "___"  # in a URL's path, after upstream

_BY_ADDRESS = "is set by the image's own address"
_BY_OPTION = "is set by an option of the image"
_BY_SERVER = "is set by this server"
_EDITION = "would choose an edition, and there is only one here"
_FIRST_PROCESS = "would start a first process other than Zero-OS's own"
_ROOT = "would replace Zero-OS's own root file system"
REFUSED = {
    "runmode": _BY_ADDRESS,
    "farmer_id": _BY_ADDRESS,
    "hub": _BY_SERVER,
    "bootstrap": _BY_SERVER,
    "enrol": _BY_SERVER,
    "net.interface": _BY_OPTION,
    "net.address": _BY_OPTION,
    "net.gateway": _BY_OPTION,
    "net.dns": _BY_OPTION,
    "net.ipv6": _BY_OPTION,
    "net.proxy": _BY_OPTION,
    "version": _EDITION,
    "init": _FIRST_PROCESS,
    "rdinit": _FIRST_PROCESS,
    "initrd": _ROOT,
    "initrdmem": _ROOT,
    "noinitrd": _ROOT,
    "root": _ROOT,
    "rootflags": _ROOT,
    "rootfstype": _ROOT,
    "nfsroot": _ROOT,
}

DOCUMENTED = frozenset(
    [
        # of a node
        *("zos-debug", "zos-debug-vm", "disable-gpu", "missing-ssd", "light", "vlan:priv"),
        *("vlan:pub", "pub:mac", "substrate", "relay", "activation", "secret", "ssh-user"),
        *("domain", "flist"),
        # of Linux: where its messages go, and how many
        *("console", "8250.nr_uarts", "consoleblank", "earlyprintk", "loglevel", "debug"),
        *("panic", "nomodeset"),
    ]
)
"""What a farmer may pass on; a server may be told to allow others."""
SAME = str.maketrans("-", "_")  # the kernel treats them as one character in a name


def parse_extra(text: str) -> tuple[str, ...]:
    """Return the kernel parameters in `text`, separated by spaces; `___` stands for `/`."""
    text = text.replace(SLASH, "/")
    if not _CHARACTERS.fullmatch(text):
        raise InputError(
            "extra",
            "a kernel parameter may hold only A-Z, a-z, 0-9 and . _ : , = / @ + -",
            hint="a space separates two parameters",
        )
    if len(text) > EXTRA_MAX_CHARS:
        raise InputError("extra", f"more than {EXTRA_MAX_CHARS} characters of kernel parameters")
    parameters = tuple(word for word in text.split(" ") if word)
    check_parameters(parameters)
    return parameters


def check_parameters(parameters: tuple[str, ...]) -> None:
    """Raise `InputError` unless a node may be booted with these kernel parameters."""
    if len(parameters) > PARAMETERS_MAX:
        raise InputError("extra", f"more than {PARAMETERS_MAX} kernel parameters")
    if len(" ".join(parameters)) > EXTRA_MAX_CHARS:
        raise InputError("extra", f"more than {EXTRA_MAX_CHARS} characters of kernel parameters")
    for word in parameters:
        check_parameter(word)


def check_parameter(word: str) -> None:
    """Raise `InputError` unless a node may be booted with the kernel parameter `word`."""
    if len(word) > PARAMETER_MAX_CHARS:
        raise InputError(
            "extra", f"a kernel parameter has more than {PARAMETER_MAX_CHARS} characters"
        )
    if not _PARAMETER.fullmatch(word) or SLASH in word:
        raise InputError(
            "extra",
            f"the kernel parameter {word!a} does not start with a lower-case letter or a digit",
        )
    # The kernel treats "-" and "_" in a name as the same character.
    name = name_of(word).lower()
    if name in REFUSED:
        raise InputError("extra", f"the kernel parameter {name} {REFUSED[name]}")


def check_allowed(parameters: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raise `InputError` for a parameter that is neither documented nor among `others`."""
    allowed = {name.translate(SAME) for name in (*DOCUMENTED, *others)}
    for word in parameters:
        if name_of(word) not in allowed:
            raise InputError(
                "extra",
                f"this server does not pass on the kernel parameter {word.partition('=')[0]}",
                hint="its operator can allow it: --allow-parameter NAME",
            )


def name_of(word: str) -> str:
    """Return the name of a parameter, with "_" for "-", as the kernel compares it."""
    return word.partition("=")[0].translate(SAME)
