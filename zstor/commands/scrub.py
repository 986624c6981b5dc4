"""Look at the shards of stored files: are they there, and what was stored? Nothing is changed."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator

from zstor.commands.shared import PROG, parse_path, print_json
from zstor.errors import NotStoredError
from zstor.pipeline.names import name_of
from zstor.pipeline.vault import Vault
from zstor.repair.inspecting import Inspector
from zstor.repair.rate import Rate
from zstor.repair.scrubbing import Health, scrub_all, scrub_key

NAME = "scrub"
HELP = "look at the shards of stored files; fail if a file is not whole"
MIB = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-f", "--file", type=parse_path, help="only this file")
    parser.add_argument(
        "--presence", action="store_true", help="only ask whether shards are there; read none"
    )
    add_rate(parser)
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")


def add_rate(parser: argparse.ArgumentParser) -> None:
    """Add the option that bounds what is read."""
    parser.add_argument(
        "--rate", type=parse_rate, metavar="MIB", help="read at most MIB MiB a second"
    )


def parse_rate(text: str) -> Rate:
    """Return a rate, given in MiB a second."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError
    return Rate(number * MIB)


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Print the files that are not whole, and a summary; return 1 if there are any."""
    inspector = Inspector(vault, options.rate, is_presence_enough=options.presence)
    states: Counter[str] = Counter()
    for health in wanted(vault, inspector, options):
        states[health.state] += 1
        if options.json:
            print_json(health._asdict())
        elif health.state != "whole":
            sys.stdout.write(describe(health))
        sys.stdout.flush()
    if not options.json:
        sys.stderr.write(f"{PROG}: {summary(states)}\n")
    return 0 if set(states) <= {"whole"} else 1


def wanted(vault: Vault, inspector: Inspector, options: argparse.Namespace) -> Iterator[Health]:
    """Yield the health of the files that the user named."""
    if options.file is None:
        yield from scrub_all(vault, inspector)
        return
    name = name_of(options.file, vault.config.root)
    health = scrub_key(inspector, vault.metastore.file_key(name))
    if health is None:
        raise NotStoredError(f"cannot scrub {name}: it is not stored")
    yield health


def describe(health: Health) -> str:
    """Return the lines on a file that is not whole."""
    head = f"{health.name}: {health.state}"
    if health.parity:
        head += f": {health.missing} shards are missing, {health.parity} may be"
    return "".join(f"{line}\n" for line in (head, *(f"  {text}" for text in health.told)))


def summary(states: Counter[str]) -> str:
    """Return one line on all files."""
    counts = ", ".join(f"{states[state]} {state}" for state in ("whole", "at risk", "lost"))
    unknown = f", {states['unknown']} unknown" if states["unknown"] else ""
    return f"files: {sum(states.values())}: {counts}{unknown}"
