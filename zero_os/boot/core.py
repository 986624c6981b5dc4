"""Puts the flist `zos-core` of this checkout into the hub of `zos boot`."""

from collections.abc import Callable
from dataclasses import replace

from common.locks import hold_lock
from flist.archive.pack import pack_archive
from flist.store.routed import parse_route
from image.core.build import build_core
from zero_os.boot.hub import NAME, LocalHub, make_signing_key, sign_flist_file
from zero_os.boot.places import checkout_dir

CORE_NAME = f"{NAME}-core"
BUILD_DEADLINE_S = 1500.0


def add_core(hub: LocalHub, say: Callable[[str], None]) -> LocalHub:
    """Build `zos-core`, unless nothing has changed; pack and sign it into `hub`, and return that.

    It is packed each time: that takes a second, and finds most blocks in the hub.
    """
    built = checkout_dir("core")
    with hold_lock(built.with_suffix(".lock"), "building zos-core", BUILD_DEADLINE_S, say):
        core = build_core(built, progress=say, allow_unlocked=True)
        say("packing zos-core")
        flist = hub.root / "flists" / f"{CORE_NAME}.fl"
        with open(core.tar, "rb") as stream:
            pack_archive(stream, flist, [parse_route(f"dir://{hub.root / 'blocks'}")])
    sign_flist_file(flist, make_signing_key(), CORE_NAME)
    return replace(hub, total_bytes=hub.total_bytes + core.tar.stat().st_size)
