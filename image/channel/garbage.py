"""What a store no longer needs."""

from common.releases.channel import HISTORY, digest_of
from image.channel.actions import usable_releases
from image.channel.repository import Repository
from image.channel.roles import CHANNELS
from image.channel.staging import load_staged
from image.release.store import collect_garbage


def collect(repository: Repository, keep: int) -> tuple[int, int]:
    """Remove what neither a channel nor its last `keep` releases refer to.

    Returns the number and the size of the removed files. A release that no channel has held yet is
    removed, too: `publish` adds it again.
    """
    releases, digests = set[str](), set[str]()
    for name in CHANNELS:
        channel = repository.channels[name]
        releases |= {channel.release, *usable_releases(repository, name, channel.withdrawn)[:keep]}
        digests.add(digest_of(channel.history))
    if (waiting := load_staged(repository.layout)) is not None:
        for name, metadata in waiting.targets.items():
            for path, file in metadata.signed.targets.items():
                digests.add(file.hashes["sha256"])
                if path == f"{name}/{HISTORY}" and file.custom.get("release"):
                    releases.add(file.custom["release"])
    return collect_garbage(repository.layout, releases, digests)
