"""A small root file system with one program, `sleep`, for flists whose services really run."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.helpers.needs import need_tool

FOLDERS = ("dev", "proc", "run", "sys", "etc/zinit")


def make_tree(root: Path, services: Mapping[str, str]) -> Path:
    """Make the tree with service files (name -> text); return it."""
    for folder in FOLDERS:
        (root / folder).mkdir(parents=True)
    for name, text in services.items():
        (root / f"etc/zinit/{name}.yaml").write_text(text)
    program = need_tool("sleep")
    done = subprocess.run(
        ["ldd", program], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    for source in (program, *re.findall(r"(/\S+) \(", done)):
        target = root / source.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755)
    return root
