"""The import directions of the architecture: between packages, and between rooms of a package."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.sources import (
    PACKAGES,
    imported_names,
    module_name,
    modules,
    own_imports,
    source_files,
)

# What a package may import beside itself.
ALLOWED: dict[str, set[str]] = {
    "common": set(),
    "serving": {"common"},
    "bootstrap_server": {"common", "serving"},
    "flist": {"common", "serving"},
    "image": {"common"},
    "qemu": {"common"},
    "zinit": {"common"},
    "node": {"common", "flist", "zinit.client"},
    "core": {"common", "flist", "zinit.client"},
    "registry": {"common", "serving"},
    "zdb": {"common", "serving"},
    "zstor": {"common", "serving"},
    "zero_os": set(PACKAGES),
}
# The rooms of a package from bottom to top: a room imports itself and the rooms before it.
ROOMS = {
    "bootstrap_server": (
        "errors", "options", "script", "trust", "settings", "images", "channels", "state", "nodes",
        "pages", "web", "lan", "redfish", "commands", "cli",
    ),
    "core": (
        "errors", "places", "sandbox", "daemon", "identity", "capacity", "report", "update",
        "certificates", "api", "announce", "screen", "remote", "cli",
    ),
    "flist": (
        "errors", "values", "folders", "model", "format", "blocks", "http", "server", "store",
        "pack", "archive", "bulk", "unpack", "mount", "oci", "hub", "commands", "cli",
    ),
    "flist.hub": (
        "errors", "names", "settings", "state", "accounts", "contents", "library", "folder", "jobs",
        "mirror", "pages", "web", "app", "commands", "cli",
    ),
    "flist.oci": (
        "errors", "digest", "platform", "manifest", "config", "image", "layer", "source",
        "convert",
    ),
    "image": (
        "errors", "files", "model", "tree", "formats", "recipe", "lock", "parts", "efi", "release",
        "core", "compare", "channel", "commands", "cli",
    ),
    "registry": (
        "errors", "names", "settings", "state", "log", "farms", "nodes", "availability",
        "checking", "views", "pages", "web", "app", "commands", "cli",
    ),
    "zdb": (
        "errors", "values", "format", "storage", "tools", "protocol", "commands", "serve",
        "replicate", "cli", "upstream",
    ),
    "zstor": (
        "errors", "codec", "model", "config", "placement", "format", "backends", "metastore",
        "pipeline", "repair", "commands", "cli",
    ),
    "zinit": (
        "files", "life", "loop", "process", "log", "control", "buttons", "daemon", "modules",
        "boot", "client",
    ),
}  # fmt: skip
# PID 1 must never share its children with a library, nor pay for one it does not need.
FORBIDDEN_IN_ZINIT = {"asyncio", "subprocess", "multiprocessing", "threading", "logging"}
# Rooms without I/O and without a clock; the reader of the service folder is the exception.
PURE = ("zinit/files", "zinit/life")
PURE_FILES = (
    *("node/network/table.py", "node/network/machine.py"),
    *("node/network/choice.py", "node/network/leases.py", "node/network/plan.py"),
    *("node/network/dhcp/machine.py", "node/network/dhcp6/machine.py"),
)
FORBIDDEN_IN_PURE = {"os", "time", "socket"}
FOLDER_READER = "zinit/files/folder.py"


def is_allowed(module: str, own: str) -> bool:
    """Return whether a file of package `own` may import `module`."""
    package = module.partition(".")[0]
    if package not in PACKAGES or package == own or module.startswith("qemu.qmp"):
        return True
    return any(module == name or module.startswith(f"{name}.") for name in ALLOWED[own])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    files = source_files(package)
    assert files, f"{package} has no sources"
    wrong = [
        f"{file.relative_to(TOP)} imports {name}"
        for file in files
        for name in imported_names(file)
        if not is_allowed(name, package)
    ]
    assert wrong == []


def room_of(module: str, package: str) -> str:
    """Return the room of a dotted module name: its first word inside `package`."""
    return module.removeprefix(f"{package}.").partition(".")[0]


@pytest.mark.parametrize("package", ROOMS)
def test_rooms_import_only_rooms_below_them(package: str) -> None:
    order = ROOMS[package]
    folder = package.replace(".", "/")
    wrong = []
    for file in source_files(folder):
        if file == TOP / folder / "__init__.py":
            continue
        own = order.index(room_of(module_name(file), package))
        for module in own_imports(file):
            if module.startswith(f"{package}.") and order.index(room_of(module, package)) > own:
                wrong.append(f"{file.relative_to(TOP)} imports {module}")
    assert wrong == []


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_its_place_in_the_order(package: str) -> None:
    rooms = {room_of(name, package) for name in modules() if name.startswith(f"{package}.")}
    assert rooms == set(ROOMS[package])


def test_no_modules_import_one_another_in_a_circle() -> None:
    """Imports within functions and for type checking count, too."""
    graph = {name: own_imports(path) for name, path in modules().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_zinit_keeps_to_the_standard_library_and_yaml() -> None:
    third_party = {"yaml", "common", "zinit"}
    for file in source_files("zinit"):
        for name in imported_names(file):
            root = name.partition(".")[0]
            assert root not in FORBIDDEN_IN_ZINIT, f"{file} imports {name}"
            assert root in third_party or root in sys.stdlib_module_names, f"{file}: {name}"


def test_rooms_without_io_import_neither_the_system_nor_a_clock() -> None:
    for file in [*source_files(*PURE), *(TOP / name for name in PURE_FILES)]:
        if file != TOP / FOLDER_READER:
            roots = {name.partition(".")[0] for name in imported_names(file)}
            assert not roots & FORBIDDEN_IN_PURE, f"{file} does I/O"


def test_every_import_is_seen() -> None:
    """The checks above would miss modules that are imported by a name made at run time."""
    allowed = {
        "core/cli.py",
        "flist/cli.py",
        "flist/commands/mount.py",
        "flist/store/base.py",
        "zdb/cli.py",
        "zinit/control/late.py",
        "zero_os/cli.py",
        "zero_os/node.py",
        "zero_os/shell/commands.py",
    }  # tables of modules, and one that is loaded ahead
    for file in source_files(*PACKAGES):
        calls = {
            ast.unparse(node.func)
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Call)
        }
        if calls & {"importlib.import_module", "__import__", "import_module"}:
            assert str(file.relative_to(TOP)) in allowed, f"{file} imports by a name"
