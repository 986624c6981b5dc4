"""The layer of the initramfs with this project: packages, launchers, configuration, keys."""

from collections.abc import Container
from pathlib import Path

from image.model import File
from image.parts.bytecode import compile_tree
from image.parts.reach import module_of
from image.recipe import plan, python
from image.recipe.kind import RELEASE, Kind
from image.recipe.recipe import Recipe
from image.tree import Tree, matches

TOP = Path(__file__).resolve().parent.parent.parent
KEY_FILE = "etc/zero-os/keys/flist.pub"
LOCKDOWN_MARK, KEXEC_MARK = "etc/zero-os/lockdown", "etc/zero-os/kexec"  # node/lockdown.py
ROOT_FILE = "etc/zero-os/keys/root.json"  # node/channel.py

LAUNCHER = """#!/usr/bin/python3 -IS
import sys

sys.path.append("/{project}")

from {module} import {function}

sys.exit({function}({arguments}))
"""

# Not below the project's packages, since it is not byte-compiled with them.
AGENT = f"{python.DEBUG_FOLDER}/agent.py"
AGENT_SERVICE = f"""# The agent of the test driver, which only debug releases have.
exec: /usr/bin/python3 -IS /{AGENT}
"""

OS_RELEASE = """NAME="Zero-OS"
PRETTY_NAME="Zero-OS {version}"
ID=zero-os
VERSION_ID="{version}"
BUILD_ID={identity}
VARIANT_ID={profile}
"""
DEBUG_MARK = "ZERO_OS_DEBUG=1\n"


def collect_sources(kind: Kind = RELEASE, top: Path = TOP) -> Tree:
    """Return the project's files for a kind, uncompiled: its packages, and its /etc."""
    tree = Tree()
    for package in kind.project:
        for path in _files_below(top / package):
            name = path.relative_to(top).as_posix()
            if not matches(name, kind.without):
                tree.add(f"{plan.PROJECT}/{name}", File(path.read_bytes()))
    for path in _files_below(top / kind.etc):
        name = path.relative_to((top / kind.etc).parent).as_posix()
        mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
        tree.add(name, File(path.read_bytes(), mode))
    return tree


def add_agent(sources: Tree, top: Path = TOP) -> Tree:
    """Return `sources` with the test driver's agent, as a service of the node."""
    tree = Tree()
    tree.merge(sources)
    tree.add(AGENT, File((top / "qemu" / "agent.py").read_bytes()))
    tree.add("etc/zinit/debug-agent.yaml", File(AGENT_SERVICE.encode()))
    return tree


def _files_below(folder: Path) -> list[Path]:
    """Return the regular files, except hidden files, compiled files and editor backups."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith((".pyc", "~"))
    ]


def compose(recipe: Recipe) -> Tree:
    """Return all sources of the layer: the project's, and what the profile adds."""
    sources = collect_sources(recipe.kind)
    tree = add_agent(sources) if recipe.debug else sources
    for item in (*recipe.files, *recipe.services):
        tree.add(item.path, File(item.content, item.mode))
    return tree


def start_modules(recipe: Recipe) -> list[str]:
    """Return the modules that the layer's programs begin with, or globs of them.

    A debug release has the whole standard library, for what the test driver runs there.
    """
    starts = [module for module, _, _ in recipe.kind.programs.values()]
    return [*starts, *recipe.python, *(["*"] if recipe.debug else [])]


def describe_os(recipe: Recipe, version: str, identity: str) -> str:
    """Return the content of os-release; a node compares it with its channel (node/admission.py)."""
    text = OS_RELEASE.format(version=version, identity=identity, profile=recipe.name)
    return text + DEBUG_MARK * recipe.debug


def build_project(
    sources: Tree, recipe: Recipe, chosen: Container[str], about: str, tools: Path
) -> Tree:
    """Return the whole layer; of the project's modules only those at the paths `chosen`.

    `about` is the content of os-release.
    """
    kept = Tree()
    for path, file in sources.files():
        if path in chosen or module_of(path, python.ROOTS) is None:
            kept.add(path, file)
    tree = compile_tree(kept, tools, keep_sources=True)
    tree.merge(own_files(recipe, about))
    return tree


def own_files(recipe: Recipe, about: str) -> Tree:
    """Return what is made for this release: launchers, its description, keys."""
    tree = Tree()
    for path, (module, function, arguments) in recipe.kind.programs.items():
        script = LAUNCHER.format(
            project=plan.PROJECT, module=module, function=function, arguments=arguments
        )
        tree.add(path, File(script.encode(), 0o755))
    tree.add("etc/os-release", File(about.encode()))
    if recipe.lockdown and recipe.kind.has_kernel:
        tree.add(LOCKDOWN_MARK, File(b""))
        if recipe.kexec:
            tree.add(KEXEC_MARK, File(b""))
    if recipe.keys:
        tree.add(KEY_FILE, File(recipe.keys.encode()))
    if recipe.root:
        tree.add(ROOT_FILE, File(recipe.root.encode()))
    return tree


def last_file() -> Tree:
    """Return the file whose absence tells /init that not all was unpacked."""
    tree = Tree()
    tree.add(plan.LAST_FILE, File(b""))
    return tree
