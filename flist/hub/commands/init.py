"""Makes a hub with accounts: its database, and the first administrator."""

import argparse
import contextlib
import getpass
import sys
from collections.abc import Iterator

from flist.hub.errors import ConflictError
from flist.hub.folder.importing import Imported, import_folder, is_plain
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.opening import FILE_NAME, has_state
from flist.hub.state.viewer import SCOPES
from serving.commands.line import Line
from serving.database import making_file

ALREADY = ConflictError("this is a hub with accounts already", hint="`zos hub serve`")
NAME, HELP = "init", "make a hub with accounts of a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    parser.add_argument("--admin", metavar="NAME", help="the first administrator; else it asks")


def run(settings: HubSettings, options: dict[str, str]) -> int:
    """Make the hub. A terminal does not show the password; else it is read from stdin."""
    if not settings.database and has_state(settings.root, ""):
        raise ALREADY
    settings.root.mkdir(parents=True, exist_ok=True)
    name = options.get("admin") or ask("Administrator: ")
    password = read_password()
    with making_state(settings) as chosen:
        found = make(chosen, name, password)
    for text in found.problems:
        sys.stderr.write(f"not imported: {text}\n")
    sys.stdout.write(
        f"{settings.root}: a hub with {found.versions} versions of flists, {found.files} files and "
        f"{found.blocks} blocks\n"
    )
    return 1 if found.problems else 0


@contextlib.contextmanager
def making_state(settings: HubSettings) -> Iterator[HubSettings]:
    """Give the settings with which the hub is made: the folder stays a plain one if this fails, or
    is interrupted."""
    if settings.database:
        yield settings
        return
    with making_file(settings.root / FILE_NAME) as url:
        yield settings.model_copy(update={"database": url})


def make(settings: HubSettings, name: str, password: str) -> Imported:
    """Make the administrator, who gets what the folder holds."""
    hub = open_hub(settings)
    try:
        if any(account.is_admin for account in hub.accounts.list()):
            raise ALREADY
        admin = hub.accounts.create(name, password=password, is_admin=True)
        hub.contents.prepare()
        if not is_plain(settings.root):
            return Imported()
        with Line() as line:
            owner = hub.accounts.viewer_of(admin, SCOPES)
            return import_folder(hub, owner, settings.root, line.show)
    finally:
        hub.close()


def ask(question: str) -> str:
    """Return one line from the terminal, or from stdin."""
    if sys.stdin.isatty():
        sys.stderr.write(question)
        sys.stderr.flush()
    return sys.stdin.readline().strip()


def read_password() -> str:
    """Return a password."""
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")
