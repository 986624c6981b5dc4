"""Which Python modules are reached, and what a source imports."""

from image.parts.reach import Import, Module, module_of, reach
from image.parts.scan import list_imports

ROOTS = ("usr/lib/python3.13/lib-dynload", "usr/lib/python3.13", "usr/lib/zero-os")


def module(*imports: tuple[int, str, tuple[str, ...]], is_package: bool = False) -> Module:
    return Module("", is_package, tuple(Import(*one) for one in imports))


def test_the_module_of_a_file() -> None:
    known = {
        "usr/lib/python3.13/os.py": ("os", False),
        "usr/lib/python3.13/json/__init__.py": ("json", True),
        "usr/lib/python3.13/lib-dynload/_ssl.cpython-313-x86_64-linux-gnu.so": ("_ssl", False),
        "usr/lib/zero-os/x/_rust.abi3.so": ("x._rust", False),
        "usr/lib/zero-os/x.libs/data.bin": None,
        "etc/x.py": None,
    }
    assert {path: module_of(path, ROOTS) for path in known} == known


def test_imports_are_followed_with_parents_and_names() -> None:
    modules = {
        "a": module((0, "b.c", ()), (0, "d", ("e", "function"))),
        "b": module(is_package=True),
        "b.c": module((1, "f", ("g",)), (2, "h", ())),
        "b.f": module(is_package=True),
        "b.f.g": module(),
        "d": module(is_package=True),
        "d.e": module((0, "walled", ())),
        "walled": module((0, "unused", ())),
        "h": module(),
        "unused": module(),
        "secret": module((0, "unused", ())),
    }
    found = reach(modules, ["a"], {}, ["wall*"])
    assert found == {"a", "b", "b.c", "b.f", "b.f.g", "d", "d.e"}
    assert reach(modules, ["a"], {"d.e": ("secr*",)}, ["wall*"]) - found == {"secret", "unused"}


def test_imports_of_a_source() -> None:
    source = b"""
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import never
else:
    import otherwise
try:
    import fast
except ImportError:
    from . import slow as fast
class A:
    def late(self):
        from ..up import one, two
if __name__ == "__main__":
    import pdb
"""
    found = {(level, name, tuple(names)) for level, name, names in list_imports(source)}
    assert found == {
        (0, "__future__", ("annotations",)),
        (0, "typing", ("TYPE_CHECKING",)),
        (0, "otherwise", ()),
        (0, "fast", ()),
        (1, "", ("slow",)),
        (2, "up", ("one", "two")),
    }
