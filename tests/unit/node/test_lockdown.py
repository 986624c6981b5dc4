"""The kernel is closed as the release says, whatever the command line has set."""

from pathlib import Path

import pytest

from node import lockdown
from node.lockdown import EARLY, LATE, MODULES, close_early, close_modules
from node.model import NodeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder like /proc/sys/kernel of a machine that has just started."""
    for name, value in (("kexec_load_disabled", "0"), ("sysrq", "438"), ("modules_disabled", "0")):
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Return the file of a release that closes the kernel."""
    path = tmp_path / "lockdown"
    path.touch()
    return path


def read(folder: Path) -> dict[str, str]:
    """Return what the switches show."""
    return {name: (folder / name).read_text().strip() for name in EARLY | LATE}


def test_modules_are_loaded_before_the_kernel_takes_no_more(
    folder: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []

    def load(names: tuple[str, ...]) -> None:
        assert read(folder)["modules_disabled"] == "0"
        loaded.extend(names)

    monkeypatch.setattr(lockdown, "load", load)
    close_early(mark, folder)
    assert read(folder) == {"kexec_load_disabled": "1", "sysrq": "0", "modules_disabled": "0"}
    close_modules(mark, folder)
    assert read(folder)["modules_disabled"] == "1"
    assert loaded == list(MODULES)
    close_modules(mark, folder)
    assert loaded == list(MODULES)


def test_a_release_may_keep_the_loading_of_kernels_open(folder: Path, mark: Path) -> None:
    open_mark = mark.with_name("kexec")
    open_mark.touch()
    close_early(mark, folder, open_mark)
    assert read(folder) == {"kexec_load_disabled": "0", "sysrq": "0", "modules_disabled": "0"}


def test_a_release_without_lockdown_stays_open(folder: Path, tmp_path: Path) -> None:
    before = read(folder)
    close_early(tmp_path / "none", folder)
    close_modules(tmp_path / "none", folder)
    assert read(folder) == before


def test_a_switch_that_the_command_line_holds_open_is_an_error(
    folder: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kexec_load_disabled").write_text("1\n")
    monkeypatch.setattr(Path, "write_text", lambda *_: 1)  # as with sysrq_always_enabled
    with pytest.raises(NodeError, match="stays 438") as caught:
        close_early(mark, folder)
    assert "sysrq_always_enabled" in (caught.value.hint or "")


def test_a_missing_switch_is_an_error(folder: Path, mark: Path) -> None:
    (folder / "sysrq").unlink()
    folder.chmod(0o500)
    (folder / "sysrq").mkdir()
    with pytest.raises(NodeError, match=r"kernel\.sysrq"):
        close_early(mark, folder)


def test_no_module_stands_twice() -> None:
    assert len(set(MODULES)) == len(MODULES)
