"""`zos image status`: which release each channel holds."""

import argparse
import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from image.commands.store import add_store, read_place

if TYPE_CHECKING:
    from common.releases.channel import Channel
    from common.releases.layout import Layout
    from image.channel.repository import Repository
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "status",
        help="show which release each channel holds",
        description="Show which release each channel of a store holds, and when signatures expire.",
    )
    add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Print the state of all channels."""
    from image.channel.staging import load_staged

    with read_place(args) as place:
        repository = place.open()
        waiting = load_staged(place.layout)
        channels = describe_channels(repository)
    value = {
        "channels": channels,
        "timestamp_expires": f"{repository.timestamp.signed.expires:%Y-%m-%dT%H:%M:%SZ}",
        "waiting": waiting.what if waiting else None,
    }
    sys.stdout.write(json.dumps(value, indent=2) + "\n" if args.json else render(value))
    return 0


def describe_channels(repository: "Repository") -> dict[str, Any]:
    """Return each channel as a JSON object."""
    return {
        name: {
            "release": channel.release or None,
            "flists": describe_flists(repository.layout, channel),
            "sequence": channel.sequence,
            "expires": f"{repository.role(name).signed.expires:%Y-%m-%dT%H:%M:%SZ}",
            "withdrawn": dict(channel.withdrawn),
            "waves": channel.waves.to_json() if channel.waves else None,
        }
        for name, channel in repository.channels.items()
    }


def describe_flists(layout: "Layout", channel: "Channel") -> list[dict[str, Any]]:
    """Return the flists of a channel's release."""
    from common.releases.channel import digest_of, open_manifest
    from common.releases.manifest import MAX_BYTES

    if channel.manifest is None:
        return []
    data = layout.read(digest_of(channel.manifest), MAX_BYTES)
    return [flist.to_json() for flist in open_manifest(channel, data).flists]


def render_waves(waves: dict[str, Any]) -> list[str]:
    """Return when how many of the farms take the release."""
    from common.releases.waves import percent

    return [
        f"      {percent(parts)} of the farms from "
        f"{datetime.fromtimestamp(waves['published'] + after_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for parts, after_s in waves["steps"]
    ]


def render(value: dict[str, Any]) -> str:
    """Return the state as lines for people."""
    lines = []
    for name, row in value["channels"].items():
        held = f"{row['release'] or '(nothing)':<32} sequence {row['sequence']}"
        lines.append(f"{name:<5} {held}, signed until {row['expires']}")
        lines += [
            f"      {one['role']:<8} {one['name']} {one['sha256'][:16]}" for one in row["flists"]
        ]
        lines += render_waves(row["waves"]) if row["waves"] else []
        lines += [f"      withdrawn {version}: {why}" for version, why in row["withdrawn"].items()]
    lines.append(f"the timestamp is valid until {value['timestamp_expires']}")
    if value["waiting"]:
        lines.append(f"waiting for signatures: {value['waiting']}")
    return "\n".join(lines) + "\n"
