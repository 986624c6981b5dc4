"""How fast does `zos flist` pack and unpack a Debian tree compared with mksquashfs and tar?

Every program starts with empty caches and works from memory to memory, in turns. Only the ratios
count: on a shared machine, absolute times mean little.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from bench.helpers import (
    Aim,
    make_tree,
    need,
    read_options,
    render,
    render_aims,
    run,
    scratch_folder,
    shell,
    take_time,
    take_turns,
    zos_flist,
)

AIMS = (
    Aim("pack / mksquashfs zstd 3", "zos flist pack", "mksquashfs zstd 3", 0.75),
    Aim("pack / mksquashfs lz4", "zos flist pack", "mksquashfs lz4"),
    Aim("pack / tar | zstd -3", "zos flist pack", "tar | zstd -3"),
    Aim("pack of an unchanged tree / first pack", "zos flist pack again", "zos flist pack"),
    Aim("unpack / zstd -dc | tar x", "zos flist unpack", "zstd -dc | tar x", 1.2),
    Aim("unpack / unsquashfs", "zos flist unpack", "unsquashfs"),
)


def main() -> int:
    """Measure and print."""
    options = read_options("flist_pack", __doc__, "two rounds instead of five")
    need("mksquashfs", "unsquashfs", "tar", "zstd")
    try:
        with scratch_folder("flist-pack") as top:
            times = measure(top, 2 if options.quick else 5)
    except KeyboardInterrupt:
        return 130
    if options.json:
        print(json.dumps(times))
    else:
        print(render("A Debian tree packed and unpacked", times))
        print(render_aims(AIMS, times))
    return 0


def measure(top: Path, rounds: int) -> dict[str, float]:
    """Return the median of every contender."""
    tree = make_tree(top / "tree")
    os.environ["ZOS_CACHE"] = str(top / "cache")  # pack's memory of the last tree
    return measure_packing(top, tree, rounds) | measure_unpacking(top, rounds)


def fresh(path: Path, work: Callable[[], object]) -> Callable[[], float]:
    """Return a function that removes the output of earlier runs, then times `work`."""

    def measure_one() -> float:
        top = path.parent
        made = {path, top / "blocks", top / "cache"} if path.suffix == ".fl" else {path}
        for old in made:
            remove(old)
        return take_time(work)

    return measure_one


def measure_packing(top: Path, tree: Path, rounds: int) -> dict[str, float]:
    """Return the medians of packing; the last outputs are kept."""
    store = f"dir://{top}/blocks"
    archive, image = top / "a.tar.zst", top / "a.squashfs"

    def squash(*words: str) -> Callable[[], object]:
        return lambda: run(
            "mksquashfs", tree, image, "-noappend", "-quiet", "-no-progress", "-comp", *words
        )

    def pack() -> str:
        return zos_flist("pack", "-m", top / "a.fl", "-s", store, tree)

    return take_turns(
        rounds,
        {
            "zos flist pack": fresh(top / "a.fl", pack),
            "zos flist pack again": lambda: take_time(pack),
            "mksquashfs lz4": fresh(image, squash("lz4")),
            "mksquashfs zstd 3": fresh(image, squash("zstd", "-Xcompression-level", "3")),
            "tar | zstd -3": fresh(
                archive, lambda: shell(f"tar -C {tree} -cf - . | zstd -3 -T0 -q -o {archive}")
            ),
        },
    )


def measure_unpacking(top: Path, rounds: int) -> dict[str, float]:
    """Return the medians of unpacking."""
    archive, image, place = top / "a.tar.zst", top / "a.squashfs", top / "out" / "tree"
    place.parent.mkdir()
    return take_turns(
        rounds,
        {
            "zos flist unpack": fresh(
                place, lambda: zos_flist("unpack", "-p", "-m", top / "a.fl", place)
            ),
            "unsquashfs": fresh(place, lambda: run("unsquashfs", "-q", "-n", "-d", place, image)),
            "zstd -dc | tar x": fresh(
                place, lambda: shell(f"mkdir {place} && zstd -dc {archive} | tar -x -C {place}")
            ),
        },
    )


def remove(path: Path) -> None:
    """Remove a file or a tree, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
