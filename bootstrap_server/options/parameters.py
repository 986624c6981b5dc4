"""Kernel parameters that a farmer may add: which, in what form, and which never.

A parameter consists of characters that have no special meaning in iPXE, a shell, HTML or a URL's
query, so it can stand in a script and on a page as it is.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

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
    "registry": _BY_SERVER,
    "farm.key": _BY_OPTION,
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


class Parameter(NamedTuple):
    """A documented parameter, and the form of its value, if it has one."""

    reader: str
    what: str
    example: str
    form: str = "nothing"
    is_repeatable: bool = False


_URL = r"(wss?|https?)://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?"
_VLAN = r"[1-9][0-9]{0,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-4]|none|untagged|un"
_BOND = r"(active-backup|802\.3ad)(,[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5})*"
_MTU = r"57[6-9]|5[89][0-9]|[6-9][0-9]{2}|[1-9][0-9]{3}"
_TERMINAL = r"(tty[A-Z]{0,4}[0-9]{0,2}|hvc[0-9]{1,2})(,[0-9]{3,7}([noe]([5-8]r?)?)?)?"
FORMS: Mapping[str, str] = {  # what to say of a value, and how to tell one
    "nothing": "",
    "a value": r".+",
    "a URL": _URL,
    "a VLAN from 1 to 4094, or none": _VLAN,
    "random or swap": r"random|swap",
    "once or always": r"once|always",
    "yes or no": r"yes|no",
    "the name of a user": r"[A-Za-z0-9-]{1,39}",
    "a mode, and MAC addresses": _BOND,
    "a number from 576 to 9999": _MTU,
    "a terminal, like ttyS1,115200n8": _TERMINAL,
    "two times of day, HH:MM-HH:MM": r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d",
    "a whole number": r"[0-9]{1,6}",
    "a whole number, which may be negative": r"-?[0-9]{1,6}",
    "a number from 0 to 7": r"[0-7]",
    "a number from 1 to 32": r"[1-9]|[12][0-9]|3[0-2]",
}

PARAMETERS: Mapping[str, Parameter] = {
    "zos-debug": Parameter("node", "Zero-OS logs more", "zos-debug"),
    "zos-debug-vm": Parameter("node", "the node counts as a virtual machine", "zos-debug-vm"),
    "disable-gpu": Parameter("node", "workloads get no graphics card", "disable-gpu"),
    "missing-ssd": Parameter("node", "hard disks alone will do", "missing-ssd"),
    "light": Parameter("node", "nothing; upstream's documents have it", "light"),
    "net.bond": Parameter(
        *("node", "these cards as one link; without MAC addresses, all cards"),
        *("net.bond=active-backup", "a mode, and MAC addresses"),
    ),
    "net.mtu": Parameter(
        "node",
        "the MTU, instead of the network's own",
        "net.mtu=1400",
        "a number from 576 to 9999",
    ),
    "update.interval": Parameter(
        *("node", "seconds between two looks at the channel, 10 to 86400", "update.interval=600"),
        "a whole number",
    ),
    "update.kexec": Parameter(
        *("node", "start a new kernel without the firmware, where the release allows it"),
        *("update.kexec=yes", "yes or no"),
    ),
    "update.reboot": Parameter(
        *("node", "reboot once for a kernel, or in each window while it is not the one that runs"),
        *("update.reboot=always", "once or always"),
    ),
    "update.window": Parameter(
        *("node", "time of the day (UTC) for updates, and for a reboot that one needs"),
        *("update.window=02:00-04:00", "two times of day, HH:MM-HH:MM"),
    ),
    "vlan:priv": Parameter(
        *("node", "VLAN of the node's own network, once Linux runs (`vlan` is for iPXE as well)"),
        *("vlan:priv=10", "a VLAN from 1 to 4094, or none"),
    ),
    "vlan:pub": Parameter(
        *("node", "VLAN of the public network", "vlan:pub=20", "a VLAN from 1 to 4094, or none"),
    ),
    "pub:mac": Parameter(
        "node", "MAC address of the public network", "pub:mac=swap", "random or swap"
    ),
    "substrate": Parameter(
        *("node", "another address of the chain", "substrate=wss://tfchain.example/ws", "a URL"),
        is_repeatable=True,
    ),
    "relay": Parameter(
        "node", "another relay", "relay=wss://relay.example", "a URL", is_repeatable=True
    ),
    "activation": Parameter(
        *("node", "another activation service", "activation=https://activation.example", "a URL"),
        is_repeatable=True,
    ),
    "secret": Parameter("node", "the farm's secret", "secret=aB3", "a value"),
    "ssh-user": Parameter(
        *("node", "this GitHub user's keys may log in, but for run mode prod", "ssh-user=someone"),
        "the name of a user",
    ),
    "domain": Parameter("node", "the farm's domain", "domain=example.org", "a value"),
    "flist": Parameter("node", "another file system for the node", "flist=a/b.flist", "a value"),
    "console": Parameter(
        *("Linux", "one more terminal for messages (the option `console` replaces the usual ones)"),
        *("console=ttyS1,115200n8", "a terminal, like ttyS1,115200n8"),
        is_repeatable=True,
    ),
    "8250.nr_uarts": Parameter(
        "Linux", "how many serial ports there are", "8250.nr_uarts=8", "a number from 1 to 32"
    ),
    "consoleblank": Parameter(
        "Linux", "seconds until the screen goes dark; 0: never", "consoleblank=0", "a whole number"
    ),
    "earlyprintk": Parameter(
        "Linux", "where the first messages go", "earlyprintk=serial,ttyS0,115200n8", "a value"
    ),
    "loglevel": Parameter(
        "Linux", "how many messages: 0 few, 7 all", "loglevel=4", "a number from 0 to 7"
    ),
    "debug": Parameter("Linux", "all of the kernel's messages", "debug"),
    "panic": Parameter(
        *("Linux", "seconds until a reboot after the kernel failed; 0: it stays", "panic=300"),
        "a whole number, which may be negative",
    ),
    "nomodeset": Parameter("Linux", "the screen's plain driver; always set", "nomodeset"),
}
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
    for name, times in Counter(word.partition("=")[0] for word in parameters).items():
        if times > 1 and name in PARAMETERS and not PARAMETERS[name].is_repeatable:
            raise InputError("extra", f"the kernel parameter {name} is there twice")


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
    check_value(word)


def check_value(word: str) -> None:
    """Raise `InputError` if a documented parameter has a value that it can't have."""
    name, equals, value = word.partition("=")
    if (known := PARAMETERS.get(name)) is None:
        return
    pattern = FORMS[known.form]
    if bool(equals) != bool(pattern) or not re.fullmatch(pattern, value):
        form = f"is {known.form}" if pattern else "has no value"
        raise InputError("extra", f"the kernel parameter {name} {form}", hint=known.example)


def check_allowed(parameters: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raise `InputError` for a parameter that is neither documented nor among `others`."""
    allowed = {name.translate(SAME) for name in (*PARAMETERS, *others)}
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
