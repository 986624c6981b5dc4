"""Programs of an unpacked tree: how they are started, and on which processors."""

import platform
from pathlib import Path

import pytest

from common.debian.architecture import ARCHITECTURES
from common.debian.programs import LIBRARY_FOLDER, LOADER, program_call
from common.errors import ZosError

ROOT = Path("/tree")
PREFIX = [ROOT / LOADER, "--library-path", ROOT / LIBRARY_FOLDER, "--argv0"]


@pytest.mark.parametrize(("name", "argv0"), [(None, "/tree/usr/bin/kmod"), ("depmod", "depmod")])
def test_a_program_runs_under_its_own_loader(
    monkeypatch: pytest.MonkeyPatch, name: str | None, argv0: str
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    program = ROOT / "usr/bin/kmod"
    assert program_call(ROOT, "usr/bin/kmod", name) == [*PREFIX, argv0, program]


def test_another_processor_is_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ZosError, match="cannot run usr/bin/kmod on aarch64") as caught:
        program_call(ROOT, "usr/bin/kmod")
    assert caught.value.hint == "use an x86-64 machine"


def test_the_paths_of_architectures() -> None:
    paths = {name: (one.loader, one.interpreter) for name, one in ARCHITECTURES.items()}
    assert paths == {
        "amd64": (
            "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
            "usr/lib64/ld-linux-x86-64.so.2",
        ),
        "arm64": (
            "usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1",
            "usr/lib/ld-linux-aarch64.so.1",
        ),
    }
