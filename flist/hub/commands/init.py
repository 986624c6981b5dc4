"""Makes a hub with accounts: its database, and the first administrator."""

import argparse
import getpass
import sys

from flist.hub.commands.shared import Line
from flist.hub.errors import ConflictError
from flist.hub.folder.importing import Imported, import_folder, is_plain
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.viewer import SCOPES

NAME, HELP = "init", "make a hub with accounts of a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    parser.add_argument("--admin", metavar="NAME", help="the first administrator; else it asks")


def run(settings: HubSettings, options: dict[str, str]) -> int:
    """Make the hub. A terminal does not show the password; else it is read from stdin."""
    settings.root.mkdir(parents=True, exist_ok=True)
    name = options.get("admin") or ask("Administrator: ")
    password = read_password()
    hub = open_hub(settings)
    try:
        if any(account.is_admin for account in hub.accounts.list()):
            raise ConflictError("this is a hub with accounts already", hint="`zos hub serve`")
        admin = hub.accounts.create(name, password=password, is_admin=True)
        hub.contents.prepare()
        found = Imported()
        if is_plain(settings.root):
            with Line() as line:
                owner = hub.accounts.viewer_of(admin, SCOPES)
                found = import_folder(hub, owner, settings.root, line.show)
    finally:
        hub.close()
    for text in found.problems:
        sys.stderr.write(f"not imported: {text}\n")
    sys.stdout.write(
        f"{settings.root}: a hub with {found.versions} versions of flists, {found.files} files and "
        f"{found.blocks} blocks\n"
    )
    return 1 if found.problems else 0


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
