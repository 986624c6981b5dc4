"""What an image is made for: a run mode, a farm, kernel parameters. All user input is checked here.

A `Options` can only be made of checked parts, and every part consists of characters that have no
special meaning in iPXE, a shell, HTML or a URL's query. Scripts and pages can therefore contain
them unescaped.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

from bootstrap_server.errors import InputError, NotThereError
from common.farms import FARM_MAX
from common.runmodes import RUN_MODES

EXTRA_MAX_CHARS = 1024
PARAMETER_MAX_CHARS = 256
PARAMETERS_MAX = 32
MARK_CHARS = 8
ADDRESS_PARTS = 4  # /ipxe/RUNMODE/FARM/PARAMETERS

# A parameter starts with a lower-case letter or a digit. It is therefore never a separator of iPXE
# or kernel options ("-", "--"), and never an environment variable like LD_PRELOAD: the kernel
# passes each parameter that it does not know to the first process in its environment.
_PARAMETER = re.compile(r"[a-z0-9][A-Za-z0-9._:,=/@+-]*")
_CHARACTERS = re.compile(r"[A-Za-z0-9._:,=/@+ -]*")
_SLASH = re.compile(r"(?<!_)/")
_PLAIN = ":,=@+"  # the characters of a parameter that are not special in a URL's path
_FARM = re.compile(r"[1-9][0-9]{0,9}")

_BY_ADDRESS = "is set by the image's own address"
_BY_SERVER = "is set by this server"
_EDITION = "would choose an edition, and there is only one here"
_FIRST_PROCESS = "would start a first process other than Zero-OS's own"
_ROOT = "would replace Zero-OS's own root file system"
REFUSED = {
    "runmode": _BY_ADDRESS,
    "farmer_id": _BY_ADDRESS,
    "hub": _BY_SERVER,
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


@dataclass(frozen=True, slots=True)
class Options:
    """One personalised boot: `farm` is None for a node that belongs to no farm yet."""

    run_mode: str
    farm: int | None
    parameters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, run_mode: str, farm: str | None = None, extra: str = "") -> Self:
        """Check user input. Raises `NotThereError` (run mode) or `InputError` (the rest)."""
        return cls(
            parse_run_mode(run_mode),
            None if farm is None else parse_farm(farm),
            parse_extra(extra),
        )

    @property
    def path(self) -> str:
        """Return the path of this boot below /ipxe/ or /usb/, quoted for a URL."""
        parts = [self.run_mode]
        if self.farm is not None:
            parts.append(str(self.farm))
        if self.parameters:
            # "_" and "___" would be read as "___" and "_", so a slash after "_" is escaped.
            # Other slashes are replaced too: clients resolve "/../" before they send an address.
            text = _SLASH.sub("___", " ".join(self.parameters))
            parts.append(quote(text, safe=_PLAIN))
        return "/".join(parts)

    @property
    def file_name(self) -> str:
        """Return the file name under which a browser should save the image.

        Images with other parameters have another name.
        """
        text = " ".join(self.parameters)
        mark = f"-{hashlib.sha256(text.encode()).hexdigest()[:MARK_CHARS]}" if text else ""
        return f"zero-os-{self.run_mode}-farm{self.farm}{mark}.img"

    def check_allowed(self, others: Iterable[str] = ()) -> None:
        """Raise `InputError` for a parameter that is neither documented nor among `others`."""
        allowed = {name.translate(SAME) for name in (*DOCUMENTED, *others)}
        for word in self.parameters:
            name = word.partition("=")[0]
            if name.translate(SAME) not in allowed:
                raise InputError(
                    "extra",
                    f"this server does not pass on the kernel parameter {name}",
                    hint="its operator can allow it: --allow-parameter NAME",
                )


def parse_run_mode(text: str) -> str:
    """Return `text` if it is one of `RUN_MODES`."""
    if text not in RUN_MODES:
        raise NotThereError(
            "there is no such run mode", hint="the run modes are " + ", ".join(RUN_MODES)
        )
    return text


def parse_farm(text: str) -> int:
    """Return the number of a farm: decimal ASCII digits without sign or leading zero, a uint32."""
    if not _FARM.fullmatch(text) or int(text) > FARM_MAX:
        raise InputError(
            "farm",
            f"a farm number is a whole number from 1 to {FARM_MAX}, in plain digits",
            hint="your farm's page in the dashboard shows it",
        )
    return int(text)


def parse_extra(text: str) -> tuple[str, ...]:
    """Return the kernel parameters in `text`, separated by spaces; `___` stands for `/`."""
    text = text.replace("___", "/")
    if len(text) > EXTRA_MAX_CHARS:
        raise InputError("extra", f"more than {EXTRA_MAX_CHARS} characters of kernel parameters")
    if not _CHARACTERS.fullmatch(text):
        raise InputError(
            "extra",
            "a kernel parameter may hold only A-Z, a-z, 0-9 and . _ : , = / @ + -",
            hint="a space separates two parameters",
        )
    parameters = tuple(word for word in text.split(" ") if word)
    if len(parameters) > PARAMETERS_MAX:
        raise InputError("extra", f"more than {PARAMETERS_MAX} kernel parameters")
    for word in parameters:
        check_parameter(word)
    return parameters


def refuse_kernel(raw_path: bytes) -> None:
    """Raise `NotThereError` for an address, as it was sent, in which the parameters are not last.

    Upstream's addresses may end with the name of a kernel, which is no parameter.
    """
    if raw_path.count(b"/") > ADDRESS_PARTS:
        raise NotThereError(
            "a kernel can't be chosen by its name here",
            hint="a slash in a kernel parameter is written as three underscores",
        )


def check_parameter(word: str) -> None:
    """Raise `InputError` unless a node may be booted with the kernel parameter `word`."""
    if len(word) > PARAMETER_MAX_CHARS:
        raise InputError(
            "extra", f"a kernel parameter has more than {PARAMETER_MAX_CHARS} characters"
        )
    if not _PARAMETER.fullmatch(word):
        raise InputError(
            "extra",
            f"the kernel parameter {word} does not start with a lower-case letter or a digit",
        )
    # The kernel treats "-" and "_" in a name as the same character.
    name = word.partition("=")[0].translate(SAME).lower()
    if name in REFUSED:
        raise InputError("extra", f"the kernel parameter {name} {REFUSED[name]}")
