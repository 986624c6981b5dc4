"""What the LAN's machines load: iPXE from the locked package, and the script beside it."""

import contextlib
import fcntl
import os
import pwd
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from bootstrap_server.errors import TemplateError
from bootstrap_server.images import inputs
from bootstrap_server.lan.config import SCRIPT
from bootstrap_server.lan.dnsmasq import USER
from bootstrap_server.lan.interface import LanError
from common.debian.archive import open_archive

RUN = Path("/run")
# The name under which a machine asks, and where the package has the file. iPXE drives UEFI's cards
# itself; with `snponly.efi` it uses the firmware's own driver, and is there for those who need it.
SOURCES: Mapping[str, str] = {
    "undionly.kpxe": "usr/lib/ipxe/undionly.kpxe",
    "ipxe.pxe": "usr/lib/ipxe/ipxe.pxe",
    "ipxe.efi": "usr/lib/ipxe/ipxe-amd64.efi",
    "snponly.efi": "usr/lib/ipxe/snponly.efi",
    "ipxe-arm64.efi": "usr/lib/ipxe/ipxe-arm64.efi",
}
# Runs under any iPXE; tries a while, since a switch may need half a minute to open its port.
_LOADER = """\
#!ipxe
set try:int32 0
:again
inc try
echo Zero-OS: asking {url} for this farm's script (try ${{try}} of 10)
ifconf --configurator dhcp && chain --autofree {url} ||
iseq ${{try}} 10 && goto failed ||
sleep 5 ||
goto again
:failed
echo Zero-OS: cannot boot: no script from {url}; rebooting in 60 s
sleep 60 ||
reboot
"""


def read_programs() -> dict[str, bytes]:
    """Return iPXE's files by the name under which machines ask. The first time it fetches them."""
    locks = inputs.read_locks()
    _, path = inputs.find_ipxe(locks[inputs.IPXE], locks[inputs.OLDER_IPXE])
    with open_archive(path) as archive:
        found = {name: archive.read(at) for name, at in SOURCES.items() if at in archive}
    if missing := [name for name in SOURCES if name not in found]:
        raise TemplateError(f"the package in {path} lacks {', '.join(missing)}")
    return found


def render_loader(url: str) -> str:
    """Return the script that lies beside iPXE on the TFTP server: it chains to `url`."""
    return _LOADER.format(url=url)


@contextlib.contextmanager
def run_folder(interface: str) -> Iterator[Path]:
    """Yield an empty folder that dnsmasq may write to; one process at a time has it.

    What a killed process left in it is removed first, all of it in the end.
    """
    folder = RUN / f"zos-lan-{interface}"
    folder.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LanError(
                f"cannot serve {interface}: another `zos bootstrap lan` does", hint="end it first"
            ) from error
        empty(folder)
        user = pwd.getpwnam(USER)
        os.chown(handle, user.pw_uid, user.pw_gid)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def empty(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def write_files(folder: Path, config: str, programs: Mapping[str, bytes], loader: str) -> None:
    """Write dnsmasq's configuration and its TFTP files, which dnsmasq may only read."""
    top = folder / "tftp"
    top.mkdir(mode=0o755)
    for name, data in {**programs, SCRIPT: loader.encode()}.items():
        (top / name).write_bytes(data)
        (top / name).chmod(0o644)
    (folder / "dnsmasq.conf").write_text(config)
    (folder / "dnsmasq.conf").chmod(0o644)
