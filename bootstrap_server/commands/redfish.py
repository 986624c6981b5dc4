"""`zos bootstrap redfish`: boot a machine from its farm's ISO through its management controller."""

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import talk
from common.errors import UsageError
from common.runmodes import RUN_MODES

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs
    from bootstrap_server.redfish.machine import Machine

TIMEOUT_S = 300
TIMEOUT_MAX_S = 86_400


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "redfish", help="boot a machine from its farm's ISO through its management controller"
    )
    parser.add_argument("host", help="the controller: HOST[:PORT], or a URL")
    parser.add_argument("--user", required=True, metavar="NAME", help="user of the controller")
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="file with the password; else it asks",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--image", metavar="URL", help="ISO image, as the controller reaches it")
    what.add_argument("--farm", metavar="N", help="farm whose ISO to boot; needs --server")
    what.add_argument("--eject", action="store_true", help="eject what is mounted, start nothing")
    parser.add_argument("--server", metavar="URL", help="the bootstrap server, for --farm")
    parser.add_argument("--runmode", default="prod", choices=RUN_MODES, help="for --farm (prod)")
    parser.add_argument("--system", default="", metavar="NAME", help="which machine, of several")
    parser.add_argument(
        "--mode", choices=("uefi", "legacy"), help="how to boot; else as the machine is set"
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--ca", type=Path, metavar="FILE", help="authority of its certificate, PEM")
    trust.add_argument("--insecure", action="store_true", help="verify no certificate")
    parser.add_argument(
        "--timeout",
        type=parse_timeout,
        default=TIMEOUT_S,
        metavar="S",
        help=f"for a step ({TIMEOUT_S})",
    )
    parser.set_defaults(run=run)


def parse_timeout(text: str) -> float:
    """Return the seconds that a step may take: a wait has an end."""
    if not 0 <= (found := float(text)) <= TIMEOUT_MAX_S:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {TIMEOUT_MAX_S} s")
    return found


def run(args: argparse.Namespace, _prog: str) -> int:
    """Mount, boot, or eject."""
    url = make_url(args.host, is_insecure=args.insecure)
    image = choose_image(args)
    verify: bool | Path = not args.insecure
    if args.ca is not None:
        args.ca.read_bytes()  # or fail before anything is done
        verify = args.ca
    if args.insecure:
        talk("the controller's certificate is not verified: whoever answers gets the password")
    password = read_password(args.password_file, args.host)

    from bootstrap_server.redfish.machine import connected, find_machine

    with connected(url, args.user, password, verify) as root:
        talk(f"connected to {url}")
        work(find_machine(root, url, args.system, talk), image, args)
    return 0


def work(machine: "Machine", image: str, args: argparse.Namespace) -> None:
    """Do what was asked for."""
    if args.eject:
        machine.eject()
        talk("nothing is mounted")
    else:
        machine.boot_from(image, args.mode, args.timeout)
        talk("once it has booted: `zos bootstrap redfish HOST --eject`")


def make_url(host: str, *, is_insecure: bool) -> str:
    """Return the URL of a controller: by HTTPS, unless the user insists on something else."""
    if host.startswith("http://") and not is_insecure:
        raise UsageError(
            "cannot send a password without TLS",
            hint="https://, or --insecure in a trusted network",
        )
    if "@" in host:
        raise UsageError(
            "cannot take a user or a password in the address: others would see it",
            hint="--user NAME --password-file FILE",
        )
    return host.rstrip("/") if "://" in host else f"https://{host}"


def choose_image(args: argparse.Namespace) -> str:
    """Return the URL of the image, "" for none. Raises `UsageError` or `InputError`."""
    if args.eject:
        return ""
    if args.image is not None:
        if not args.image.startswith(("http://", "https://")):
            raise UsageError("cannot mount that: the image is a http:// or https:// URL")
        return str(args.image)
    from bootstrap_server.options.model import Options, parse_farm
    from bootstrap_server.settings import check_url

    if not args.server:
        raise UsageError("cannot tell where the ISO is", hint="--server URL, the bootstrap server")
    options = Options(args.runmode, parse_farm(args.farm))
    return f"{check_url(args.server, 'server')}/iso/{options.path}.iso"


def read_password(file: Path | None, host: str) -> str:
    """Return the password: the first line of a file, or what the user types."""
    if file is not None:
        return file.read_text().partition("\n")[0]
    if not sys.stdin.isatty():
        raise UsageError("cannot ask for the password here", hint="--password-file FILE")
    return getpass.getpass(f"password for {host}: ")
