"""The release of `zos boot`: a run serves the one it has built, whatever other runs build."""

from pathlib import Path
from typing import Any

import pytest

from image.model import Release
from image.release.build import write_release
from zero_os.boot import cli
from zero_os.boot.hub import LocalHub


def test_a_run_keeps_its_release_when_another_builds_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    def build_release(output: Path, **_: Any) -> Release:
        output.mkdir(exist_ok=True)
        built.append(output)
        write_release(output, {"vmlinuz": b"kernel %d" % len(built)})
        return Release(output, "1", "6.12", {})

    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "build_release", build_release)
    hub = LocalHub(tmp_path, tmp_path / "key", tmp_path / "flist", 1)
    runs = [tmp_path / "first", tmp_path / "second"]
    served = [cli.prepare_release(hub, run, cli.Talk(), "virt") for run in runs]
    assert built[0] == built[1]  # one cache
    assert [(folder / "dev" / "vmlinuz").read_bytes() for folder in served] == [
        b"kernel 1",
        b"kernel 2",
    ]
