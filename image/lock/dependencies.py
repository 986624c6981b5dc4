"""Which wheels a node needs, by the dependencies in their metadata."""

import email.parser
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from common.debian.architecture import ARCHITECTURES
from image.errors import ImageError

PYTHON = "3.13"


def environment(architecture: str) -> dict[str, str]:
    """Return the values of markers on a node, whichever Python runs this."""
    node = {
        "implementation_name": "cpython",
        "implementation_version": f"{PYTHON}.0",
        "os_name": "posix",
        "platform_machine": ARCHITECTURES[architecture].machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{PYTHON}.0",
        "python_version": PYTHON,
        "sys_platform": "linux",
    }
    assert node.keys() == default_environment().keys()
    return node


def needed_names(
    requirements: Sequence[str], metadata: Mapping[str, str], node: Mapping[str, str]
) -> set[str]:
    """Return the names of the packages that requirements lead to; `metadata` has that of each."""
    todo = [Requirement(text) for text in requirements]
    done: set[tuple[str, str]] = set()
    while todo:
        wanted = todo.pop()
        name = str(canonicalize_name(wanted.name))
        for extra in ["", *sorted(wanted.extras)]:
            if (name, extra) not in done:
                done.add((name, extra))
                todo += needed_by(name, extra, metadata, node)
    return {name for name, _ in done}


def needed_by(
    name: str, extra: str, metadata: Mapping[str, str], node: Mapping[str, str]
) -> list[Requirement]:
    """Return what a package needs on a node, with one of its extras."""
    if name not in metadata:
        raise ImageError(
            f"cannot lock the wheels: a node needs {name}, which pip has left out for this Python",
            hint=f"run it with Python {PYTHON}",
        )
    fields = email.parser.HeaderParser().parsestr(metadata[name])
    found = [Requirement(text) for text in fields.get_all("Requires-Dist", [])]
    values = {**node, "extra": extra}
    return [need for need in found if need.marker is None or need.marker.evaluate(values)]


def read_metadata(wheel: Path) -> str:
    """Return the metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()
