"""Compares two releases. Pure."""

import stat
from collections.abc import Iterator, Mapping

from common.efi.authenticode import strip_signatures
from image.compare.content import compare_content, offset
from image.compare.model import ADDED, CHANGED, REMOVED, Change, Difference, Item, Side
from image.compare.sides import kernel_version
from image.release import sbom, unified
from image.release.listing import INITRAMFS

KERNEL = "KERNEL"  # in paths of modules, so that those of two kernels can be compared
INITRD = ".initrd"
# What is compared part by part, and the kinds of differences that explain why its bytes differ.
EXPLAINED = {
    INITRAMFS: {"module", "file"},
    unified.NAME: {"module", "file", "section"},
    sbom.NAME: {"package", "manifest"},
    INITRD: {"module", "file"},
}
TAKEN_APART = (INITRAMFS, unified.NAME, sbom.NAME)
FIRST = ("manifest", "package", "section", "module", "file", "artefact")


def compare(old: Side, new: Side) -> list[Difference]:
    """Return what differs; of what only one side can tell, only that it is there.

    Of two sides of one kind, nothing is returned if, and only if, they have the same bytes.
    """
    found = list(_images(old, new))
    if old.sections and new.sections:
        sections = (_without(side.sections, INITRD) for side in (old, new))
        found += _contents("section", *sections)
    if old.packages and new.packages:
        found += _facts("package", old.packages, new.packages)
    if old.facts and new.facts:
        found += _facts("manifest", old.facts, new.facts)
        found += _contents("artefact", *(_without(s.artefacts, *TAKEN_APART) for s in (old, new)))
    found += _unexplained(old, new, {difference.kind for difference in found})
    return sorted(found, key=lambda difference: (FIRST.index(difference.kind), difference.name))


def _facts(kind: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    for name in _names(old, new):
        before, after = old.get(name, ""), new.get(name, "")
        if what := _what(name, old, new, before != after):
            yield Difference(kind, name, what, (Change("value", before, after),))


def _contents(
    kind: str, old: Mapping[str, bytes], new: Mapping[str, bytes]
) -> Iterator[Difference]:
    for name in _names(old, new):
        if what := _what(name, old, new, old.get(name) != new.get(name)):
            changes: tuple[Change, ...] = ()
            if what == CHANGED:
                changes = (compare_content(name, old[name], new[name]),)
            yield Difference(kind, name, what, changes)


def _images(old: Side, new: Side) -> Iterator[Difference]:
    before, after = _rename(old.items), _rename(new.items)
    times = {(before[n].mtime, after[n].mtime) for n in before.keys() & after.keys()}
    is_shared = len(times) == 1  # a build gives all entries one time
    for name in _names(before, after):
        changes: tuple[Change, ...] = ()
        if name in before and name in after:
            changes = tuple(_compare_items(name, before[name], after[name], not is_shared))
        if what := _what(name, before, after, bool(changes)):
            kind = "module" if "/kernel/" in name and name.endswith((".ko", ".ko.xz")) else "file"
            yield Difference(kind, f"/{name}", what, changes)
    for a, b in times if is_shared else ():
        if a != b:
            yield Difference("file", "", CHANGED, (Change("time of all", str(a), str(b)),))


def _rename(items: Mapping[str, Item]) -> dict[str, Item]:
    """Return the entries by path, in which the version of the kernel is replaced."""
    version = kernel_version(dict(items))
    if not version:
        return dict(items)
    start = f"usr/lib/modules/{version}"
    other = f"usr/lib/modules/{KERNEL}"
    return {
        other + name.removeprefix(start)
        if name == start or name.startswith(f"{start}/")
        else name: i
        for name, i in items.items()
    }


def _compare_items(name: str, old: Item, new: Item, with_time: bool) -> Iterator[Change]:
    if stat.S_IFMT(old.mode) != stat.S_IFMT(new.mode):
        yield Change("type", stat.filemode(old.mode)[0], stat.filemode(new.mode)[0])
        return
    facts = {
        "mode": (f"{stat.S_IMODE(old.mode):04o}", f"{stat.S_IMODE(new.mode):04o}"),
        "owner": (f"{old.uid}:{old.gid}", f"{new.uid}:{new.gid}"),
        "device": ("{},{}".format(*old.device), "{},{}".format(*new.device)),
        "time": (str(old.mtime), str(new.mtime)) if with_time else ("", ""),
    }
    for field, (before, after) in facts.items():
        if before != after:
            yield Change(field, before, after)
    if old.content == new.content:
        return
    if stat.S_ISLNK(old.mode):
        was, now = (item.content.decode(errors="surrogateescape") for item in (old, new))
        yield Change("target", was, now)
    else:
        yield compare_content(name, old.content, new.content)


def _unexplained(old: Side, new: Side, kinds: set[str]) -> Iterator[Difference]:
    """Yield what was taken apart, if its bytes differ although no difference in it was found."""
    pairs = {name: (old.artefacts.get(name), new.artefacts.get(name)) for name in TAKEN_APART}
    pairs[INITRD] = (old.sections.get(INITRD), new.sections.get(INITRD))
    is_whole = bool(old.facts and new.facts)
    for name, (before, after) in pairs.items():
        if before is None or after is None:
            if before != after and is_whole and name != INITRD:
                yield Difference("artefact", name, ADDED if before is None else REMOVED)
        elif before != after and not kinds & EXPLAINED[name]:
            what = "the same content, packed otherwise"
            if name == unified.NAME and strip_signatures(before) == strip_signatures(after):
                what = "only the signatures differ"
            lines = (what, offset(before, after))
            sizes = (f"{len(before)} bytes", f"{len(after)} bytes")
            yield Difference("artefact", name, CHANGED, (Change("content", *sizes, lines),))


def _names(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    return sorted(old.keys() | new.keys())


def _what(name: str, old: Mapping[str, object], new: Mapping[str, object], differs: bool) -> str:
    if name not in old:
        return ADDED
    if name not in new:
        return REMOVED
    return CHANGED if differs else ""


def _without(contents: Mapping[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: content for name, content in contents.items() if name not in names}
