"""Checks the service files of a root file system before it is packed or signed.

`zinit check` judges them, in a process of its own: the format of flists knows nothing of zinit's.
They are checked as a node runs them: with the node's own services beside them, inside a root.
"""

import argparse
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ZosError
from common.text import printable
from flist.errors import FlistError
from flist.model import Inode

if TYPE_CHECKING:
    from flist.mount.reader import Reader

FOLDER = "etc/zinit"
SUFFIX = ".yaml"
MAX_BYTES = (1 << 20) + 1  # one more than zinit takes
NODE_SERVICES = ("bringup", "network")
INSIDE = "root: /run/zero-os/flists/0/root\n"  # programs and accounts are not this machine's
CHECK_S = 60.0
STORE_WAIT_S = 5.0


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add --strict."""
    parser.add_argument(
        "--strict", action="store_true", help=f"refuse mistakes in {FOLDER} instead of naming them"
    )


def report_services(files: Mapping[str, bytes], *, is_strict: bool, what: str) -> None:
    """Print the mistakes in service files (name -> content); with `is_strict` raise `FlistError`.

    `what` is what cannot be done then, such as "sign x.fl".
    """
    mistakes = find_mistakes(files)
    for text in mistakes:
        sys.stderr.write(f"warning: {printable(text)}\n")
    if mistakes and is_strict:
        raise FlistError(f"cannot {what}: {len(mistakes)} mistakes in {FOLDER}")


def find_mistakes(files: Mapping[str, bytes]) -> list[str]:
    """Return what `zinit check` says, one line for each mistake."""
    if not files:
        return []
    from common.run import run

    with tempfile.TemporaryDirectory(prefix="flist-services-") as place:
        for name in NODE_SERVICES:
            (Path(place) / f"{name}{SUFFIX}").write_text("exec: 'true'\n")
        for name, data in files.items():
            (Path(place) / f"{name}{SUFFIX}").write_bytes(data)
            (Path(place) / f"{name}.override").write_text(INSIDE)
        call = [find_zinit(), "check", place]
        output = run(call, timeout_s=CHECK_S, good=(0, 1)).decode(errors="replace")
        clashes = [f"{FOLDER}/{name}{SUFFIX}: warning: a node has a service of that name"
                   for name in NODE_SERVICES if name in files]  # fmt: skip
        return [line.replace(f"{place}/", f"{FOLDER}/") for line in output.splitlines()] + clashes


def find_zinit() -> str:
    """Return the `zinit` that was installed with this program, or else the one in PATH."""
    beside = Path(sys.executable).with_name("zinit")
    return str(beside) if beside.exists() else "zinit"


def services_of_folder(top: Path) -> dict[str, bytes]:
    """Return the service files of the tree at `top`; links are left out, as zinit does."""
    folder = top / FOLDER
    if any(path.is_symlink() for path in (folder, folder.parent)) or not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path.name != SUFFIX and stat.S_ISREG(path.lstat().st_mode):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as stream:
                found[path.name.removesuffix(SUFFIX)] = stream.read(MAX_BYTES)
    return found


def services_of_flist(meta: Path) -> dict[str, bytes]:
    """Return the service files in a flist, from the stores that it names.

    Returns none, and says so, if a store does not answer.
    """
    from flist.mount.reader import open_reader
    from flist.store.sources import Sources

    try:
        with open_reader(meta, Sources(wait_s=STORE_WAIT_S)) as reader:
            return {
                os.fsdecode(inode.name).removesuffix(SUFFIX): reader.read(inode, MAX_BYTES, 0)
                for inode in service_inodes(reader)
            }
    except (ZosError, OSError) as error:
        sys.stderr.write(f"warning: cannot check {FOLDER}: {printable(str(error))}\n")
        return {}


def service_inodes(reader: "Reader") -> list[Inode]:
    """Return the regular files `etc/zinit/*.yaml` of a flist."""
    try:
        folder = reader.tree.find(f"/{FOLDER}".encode())
    except FileNotFoundError:
        return []
    suffix = SUFFIX.encode()
    return [
        one
        for name, one in reader.tree.entries(folder.ino).items()
        if one.is_file and name.endswith(suffix) and name != suffix and b"/" not in name
    ]
