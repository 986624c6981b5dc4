"""Selects kernel modules with their dependencies. Pure."""

import lzma
from collections.abc import Callable, Iterable, Mapping

from image.errors import FormatError, ImageError
from image.formats.elf import read_section
from image.recipe.recipe import is_chosen

SUFFIXES = (".ko", ".ko.xz")

# What a module says of itself: each key of its section .modinfo with all its values.
Info = dict[str, list[str]]


def module_name(path: str) -> str:
    """Return the kernel's name of a module ("x/virtio-rng.ko.xz" -> "virtio_rng")."""
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def unpack_module(path: str, data: bytes) -> bytes:
    """Return the module, decompressed if `path` has the suffix .xz."""
    if not path.endswith(".xz"):
        return data
    try:
        return lzma.decompress(data)
    except lzma.LZMAError as error:
        raise FormatError(f"cannot unpack {path}: {error}") from error


def read_info(module: bytes) -> Info:
    """Return a module's .modinfo section: each key with all its values."""
    info: Info = {}
    for field in (read_section(module, ".modinfo") or b"").split(b"\0"):
        key, equals, value = field.decode(errors="replace").partition("=")
        if equals:
            info.setdefault(key, []).append(value)
    return info


def needed_names(info: Mapping[str, list[str]]) -> list[str]:
    """Return the names of the modules that a module depends on."""
    words = ",".join(info.get("depends", [])).split(",")
    return [word.replace("-", "_") for word in words if word]


def wished_names(info: Mapping[str, list[str]]) -> list[str]:
    """Return the names of the optional dependencies (softdep "pre: a post: b")."""
    words = " ".join(info.get("softdep", [])).split()
    return [word.replace("-", "_") for word in words if not word.endswith(":")]


def close_modules(
    paths: Iterable[str], patterns: tuple[str, ...], read: Callable[[str], bytes]
) -> dict[str, Info]:
    """Return the modules of `paths` that match, with all their dependencies, sorted.

    Patterns are relative to kernel/; `read(path)` returns the content of a module. A dependency is
    included even if a pattern excludes it. A missing dependency is an error; a missing soft
    dependency is not, since it may be built into the kernel.
    """
    by_name = {module_name(path): path for path in paths if path.endswith(SUFFIXES)}
    todo = [name for name, path in by_name.items() if is_chosen(below_kernel(path), patterns)]
    chosen: dict[str, Info] = {}
    while todo:
        path = by_name[todo.pop()]
        if path in chosen:
            continue
        chosen[path] = info = read_info(unpack_module(path, read(path)))
        for name in needed_names(info):
            if name not in by_name:
                raise ImageError(f"cannot find the module {name}, which {path} needs")
            todo.append(name)
        todo += [name for name in wished_names(info) if name in by_name]
    return dict(sorted(chosen.items()))


def below_kernel(path: str) -> str:
    """Return a module's path below the folder kernel/."""
    return path.partition("/kernel/")[2]
