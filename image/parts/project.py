"""The layer of the initramfs with this project: packages, launchers, configuration, keys."""

import base64
from pathlib import Path

from common.publickeys import parse_public_keys
from image.errors import ImageError
from image.model import File
from image.parts.bytecode import compile_tree
from image.recipe import plan
from image.tree import Tree, matches

TOP = Path(__file__).resolve().parent.parent.parent
KEY_FILE = "etc/zero-os/keys/flist.pub"

LAUNCHER = """#!/usr/bin/python3 -IS
import sys

sys.path.append("/{project}")

from {module} import {function}

sys.exit({function}())
"""

PROGRAMS = {
    "init": ("zinit.boot", "main"),
    "usr/bin/rfs": ("flist.cli", "entry"),
    "usr/bin/zinit": ("zinit.client.cli", "entry"),
    "usr/bin/zos": ("zero_os.cli", "main"),
}

# Not below the project's packages, since it is not byte-compiled with them.
AGENT = "usr/lib/zero-os-debug/agent.py"
AGENT_SERVICE = f"""# The agent of the test driver, which only debug releases have.
exec: /usr/bin/python3 -IS /{AGENT}
"""

OS_RELEASE = """NAME="Zero-OS"
PRETTY_NAME="Zero-OS {version}"
ID=zero-os
VERSION_ID="{version}"
"""


def collect_sources(top: Path = TOP) -> Tree:
    """Return the project's files for a node, uncompiled: packages and node/etc."""
    tree = Tree()
    for package in plan.NODE_PACKAGES:
        for path in _files_below(top / package):
            name = path.relative_to(top).as_posix()
            if not matches(name, plan.NODE_WITHOUT):
                tree.add(f"{plan.PROJECT}/{name}", File(path.read_bytes()))
    for path in _files_below(top / "node" / "etc"):
        name = path.relative_to(top / "node").as_posix()
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


def build_project(sources: Tree, keys: str, version: str, target: Path) -> Tree:
    """Return the whole layer; `keys` is the result of `read_keys`, or ""."""
    tree = compile_tree(sources, target, keep_sources=True)
    for path, (module, function) in PROGRAMS.items():
        script = LAUNCHER.format(project=plan.PROJECT, module=module, function=function)
        tree.add(path, File(script.encode(), 0o755))
    tree.add("etc/os-release", File(OS_RELEASE.format(version=version).encode()))
    if keys:
        tree.add(KEY_FILE, File(keys.encode()))
    return tree


def read_keys(path: Path) -> str:
    """Return the Ed25519 public keys in `path`, one per line, without comments and blank lines.

    Raises `ImageError` if a line is not base64 of 32 bytes, or if there is no key.
    """
    try:
        keys = parse_public_keys(path.read_text())
    except OSError as error:
        raise ImageError(
            f"cannot read the flist keys in {path}: {error.strerror}",
            hint="`zos flist keygen FILE` makes a key pair; FILE.pub is the public one",
        ) from error
    except UnicodeDecodeError as error:
        raise ImageError(f"cannot read the flist keys in {path}: not a text file") from error
    except ValueError as error:
        raise ImageError(f"cannot use the flist keys in {path}: {error}") from error
    return "".join(f"{base64.b64encode(key).decode()}\n" for key in keys)
