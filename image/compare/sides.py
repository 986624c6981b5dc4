"""Reads one side of a comparison: a release's folder, an initramfs, or a UKI."""

import json
import re
import stat
from pathlib import Path
from typing import Any

from common.files import open_regular
from image.compare.model import Item, Side
from image.efi.uki import read_sections
from image.errors import FormatError, ImageError
from image.formats.cpio import Member
from image.release import manifest, sbom, unified
from image.release.listing import EFI, INITRAMFS, list_members

# What is compared in its own right, or can't but differ when anything does.
NOT_FACTS = ("files", "flists", "packages", "wheels")
VERSION = re.compile(r"usr/lib/modules/([^/]+)")


def read_side(path: Path) -> Side:
    """Read a release. Raises `ImageError`."""
    if path.is_dir():
        return _read_folder(path)
    data = _read(path)
    if data.startswith(EFI):
        sections = read_sections(data)
        items = _items(sections.get(".initrd", b""))
        return Side(sections=sections, items=items, artefacts={unified.NAME: data})
    return Side(items=_items(data), artefacts={INITRAMFS: data})


def kernel_version(items: dict[str, Item]) -> str:
    """Return the only kernel version of which an image has modules; "" if there is none."""
    found = {match[1] for name in items if (match := VERSION.match(name))}
    return found.pop() if len(found) == 1 else ""


def _read_folder(folder: Path) -> Side:
    value = _read_json(folder / manifest.NAME)
    names = value.get("files")
    if not isinstance(names, dict) or not all(_is_plain(name) for name in names):
        raise FormatError(f"cannot use {folder / manifest.NAME}: it lists no files")
    artefacts = {name: _read(folder / name) for name in names}
    if INITRAMFS not in artefacts:
        raise FormatError(f"cannot use {folder / manifest.NAME}: it has no {INITRAMFS}")
    facts = {key: _text(item) for key, item in value.items() if key not in NOT_FACTS}
    return Side(
        facts | _flists(value.get("flists", [])),
        _packages(folder / sbom.NAME) if sbom.NAME in artefacts else {},
        read_sections(artefacts[unified.NAME]) if unified.NAME in artefacts else {},
        _items(artefacts[INITRAMFS]),
        artefacts,
    )


def _flists(rows: Any) -> dict[str, str]:
    """Return name and digest of each flist of a release, by its role."""
    try:
        return {f"flist {row['role']}": f"{row['name']} {row['sha256'][:16]}" for row in rows}
    except (KeyError, TypeError) as error:
        raise FormatError("cannot use the manifest: its flists can't be read") from error


def _is_plain(name: object) -> bool:
    """Return whether a name of the manifest is that of a file in its folder."""
    return isinstance(name, str) and name not in ("", ".", "..") and not {"/", "\0"} & set(name)


def _packages(path: Path) -> dict[str, str]:
    """Return version and start of the digest of each package in an SBOM, by kind and name."""
    try:
        return {_label(row): _release(row) for row in _rows(path)}
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise FormatError(f"cannot use {path}: it is not an SBOM of a release") from error


def _rows(path: Path) -> list[Any]:
    rows = _read_json(path)["packages"]
    return [row for row in rows if row["SPDXID"] != "SPDXRef-release"]


def _label(row: dict[str, Any]) -> str:
    """Return kind and name of a package, as "deb libc6"."""
    return f"{row['SPDXID'].split('-')[1]} {row['name']}"


def _release(row: dict[str, Any]) -> str:
    sums = row.get("checksums")
    return str(row["versionInfo"]) + (f" ({sums[0]['checksumValue'][:12]})" if sums else "")


def _items(data: bytes) -> dict[str, Item]:
    """Return the entries of an initramfs by path; a later one replaces an earlier one."""
    found: dict[str, Item] = {}
    linked: dict[int, bytes] = {}
    for member in reversed(list_members(data)):
        content = member.content
        if member.links > 1 and stat.S_ISREG(member.mode):  # the last hard link has the content
            content = linked[member.inode] = content or linked.get(member.inode, b"")
        found.setdefault(member.name, _item(member, content))
    return found


def _item(member: Member, content: bytes) -> Item:
    return Item(member.mode, member.uid, member.gid, member.mtime, member.device, content)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"cannot read {path}: not JSON") from error
    if not isinstance(value, dict):
        raise FormatError(f"cannot use {path}: not a JSON object")
    return value


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as stream:
            return stream.read()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
