"""What `pip install zero-os` gives, without the extra "host": a venv made from the wheel."""

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from common.errors import is_host_module
from tests.helpers.checkout import TOP

DEADLINE_S = 240
NAME = re.compile(r"[A-Za-z0-9._-]+")


def requirements(name: str) -> set[str]:
    """Return the distributions that `name` requires without extras, itself included."""
    found, todo = set(), [name]
    while todo:
        one = todo.pop()
        try:
            rows = importlib.metadata.requires(one) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # not needed on this machine
        if one not in found:
            found.add(one)
            todo += [
                match[0] for row in rows if "extra ==" not in row and (match := NAME.match(row))
            ]
    return found


def copy_distribution(name: str, target: Path) -> None:
    """Copy the files of an installed distribution into another site-packages."""
    for file in importlib.metadata.files(name) or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            place = target / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.locate(), place)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bin folder of a venv with the wheel and what it requires."""
    folder = tmp_path_factory.mktemp("plain")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheel = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, TOP]
    subprocess.run(wheel, check=True, timeout=DEADLINE_S)
    venv.create(folder / "venv", with_pip=False)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    for name in requirements("zero-os") - {"zero-os"}:
        copy_distribution(name, site)
    python = folder / "venv" / "bin" / "python"
    install = [*pip, "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*install, *folder.glob("*.whl")], check=True, timeout=DEADLINE_S)
    return python.parent


def call(scripts: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program, *rest = words
    return subprocess.run(
        [scripts / program, *rest],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize(
    "words",
    [
        ("boot", "--exit"),
        ("hub", "serve", "."),
        ("vm", "--usb", "image"),
        ("bootstrap", "serve", "--url", "http://h", "--releases", ".", "--hub", "http://h"),
    ],
)
def test_a_verb_that_needs_more_says_what_to_install(
    scripts: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    done = call(scripts, tmp_path, "zos", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"zos {words[0]}: cannot run zos {words[0]}: the Python module ")
    assert done.stderr.endswith("is not installed\n  hint: pip install 'zero-os[host]'\n")


def test_the_rest_works(scripts: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("content")
    for words in (
        ("zos", "--help"),
        ("zinit", "--help"),
        ("rfs", "pack", "-m", "a.fl", "-s", f"dir://{tmp_path}/blocks", "tree"),
        ("zos", "flist", "tree", "a.fl"),
        ("zos", "image", "--help"),
    ):
        done = call(scripts, tmp_path, *words)
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


def test_every_module_of_the_extra_is_known() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    plain, extra = (
        {match[0] for row in rows if (match := NAME.match(row))}
        for rows in (project["dependencies"], project["optional-dependencies"]["host"])
    )
    wanted = extra - plain  # a node has some of them, in older versions
    by_module = importlib.metadata.packages_distributions()
    for module, names in by_module.items():
        for name in {name.lower() for name in names} & wanted:
            shown = "qemu.qmp" if name == "qemu.qmp" else module.replace("/", ".")
            assert module.startswith("_") or is_host_module(shown), f"{module} of {name}"
