"""Whether the channel lets this release run: asked once at every boot, before anything is mounted.

Who carries kernel and initramfs to a node (a server, a mirror, a stick) can carry old ones. So the
node compares what it was booted with, as its os-release and its kernel say, with what the channel's
keys have signed:

- a release that was withdrawn is refused, whatever the channel holds now;
- the release that the channel holds must have the identity and the kernel of its manifest. It may
  name a set of flists; what was booted is the same in all releases that differ in that alone;
- an earlier one may run, since a farmer may have chosen it, and since another one may be published
  while a node boots. A maintainer who wants it gone withdraws it;
- what the channel never held, or held only in releases that were withdrawn, is refused.

In every case the kernel must be the one whose modules are in the initramfs.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from common.releases.channel import Channel
from common.releases.layout import boot_version
from common.releases.manifest import Manifest
from node.channel import OS_RELEASE, ROOT, STATE, check_channel, fetch_held
from node.flists.cache import DiskCache
from node.log import log as write_log
from node.model import BootParameters, NodeError

REFUSED = "ZB41"

log = partial(write_log, "bringup")


@dataclass(frozen=True)
class Image:
    """Where it stands what the node was booted with, and whom it trusts."""

    root: Path = ROOT
    about: Path = OS_RELEASE
    modules: Path = Path("/usr/lib/modules")
    state: Path = STATE


@dataclass(frozen=True)
class Running:
    """The release that runs: its version, the identity of its build, and the kernel's release."""

    version: str
    identity: str
    kernel: str


def admit_release(
    parameters: BootParameters, image: Image | None = None, cache: DiskCache | None = None
) -> tuple[Channel, Manifest | None] | None:
    """Return if the channel of the run mode lets this release run; else raise `ZosError`.

    The result is the channel, and the manifest of the release that it holds now, if any. An image
    without a trusted root, which only development releases are, has no channel: None. What the
    channel was verified with is kept in the cache, which stands in for a server that is away.
    """
    image = image or Image()
    if not image.root.exists():
        log("this image trusts no channel, so its release is not checked")
        return None
    url, name, proxy = parameters.bootstrap, parameters.runmode, parameters.proxy
    if not url:
        raise NodeError(
            f"cannot ask the channel {name} about this release: no bootstrap server is named",
            hint="the boot script sets bootstrap=; take it from the bootstrap server again",
            code=REFUSED,
        )
    running = read_running(image)
    places = {"root": image.root, "state": image.state, "image": image.about}
    channel, manifest = check_channel(url, name, **places, proxy=proxy, cache=cache)
    log(judge(running, channel, manifest, lambda: fetch_held(url, channel, proxy, cache)))
    return channel, manifest


def read_running(image: Image) -> Running:
    """Return what the node was booted with."""
    kernel = os.uname().release
    if not (image.modules / kernel).is_dir():
        raise NodeError(
            f"cannot run the kernel {kernel}: it is not of the same release as the initramfs",
            code=REFUSED,
        )
    words = read_about(image.about)
    return Running(words.get("VERSION_ID", ""), words.get("BUILD_ID", ""), kernel)


def read_about(path: Path = OS_RELEASE) -> dict[str, str]:
    """Return the words of os-release."""
    lines = (line.partition("=") for line in path.read_text().splitlines())
    return {key: value.strip('"') for key, _, value in lines}


def judge(
    running: Running,
    channel: Channel,
    manifest: Manifest | None,
    held: Callable[[], frozenset[str]],
) -> str:
    """Return a line for the log if the release may run; raise `NodeError` if not.

    `held` returns the releases that the channel has held.
    """
    version, name = running.version, channel.name
    demand_good(version, [version], channel)
    if manifest is None or version != boot_version(channel.release):
        same = [release for release in sorted(held()) if boot_version(release) == version]
        if not same:
            raise NodeError(
                f"cannot run release {version}: the channel {name} has never held it", code=REFUSED
            )
        demand_good(version, same, channel)
        return f"the channel {name} has held release {version}; now it holds {channel.release}"
    wanted = Running(version, manifest.identity, manifest.kernel)
    if running != wanted:
        raise NodeError(
            f"cannot run release {version}: this is not the build that the channel {name} holds "
            f"(identity {running.identity[:12]}, kernel {running.kernel}; signed are "
            f"{wanted.identity[:12]} and {wanted.kernel})",
            code=REFUSED,
        )
    return f"the channel {name} holds this release, {channel.release}"


def demand_good(version: str, releases: Sequence[str], channel: Channel) -> None:
    """Raise `NodeError` if all `releases`, which boot `version`, were withdrawn."""
    if set(releases) <= channel.withdrawn.keys():
        why = channel.withdrawn[releases[-1]] or "no reason is given"
        raise NodeError(
            f"cannot run release {version}: it was withdrawn from {channel.name}: {why!a}",
            code=REFUSED,
        )
