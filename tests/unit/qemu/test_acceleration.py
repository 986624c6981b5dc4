"""The choice between KVM and emulation, and its cache."""

import json
from pathlib import Path

import pytest

from qemu import acceleration
from qemu.errors import MachineError
from qemu.machine import QemuMachine
from qemu.model import MachineConfig, UsbBoot


@pytest.fixture
def kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Pretend that this host has a KVM device; return the list from which probes answer."""
    answers: list[bool] = []
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    monkeypatch.setattr(acceleration, "KVM", tmp_path)
    monkeypatch.setattr(acceleration, "host_identity", lambda: ["this boot", "this QEMU"])
    monkeypatch.setattr(acceleration, "does_kvm_boot", lambda: answers.pop())
    return answers


def test_the_answer_is_cached(kvm: list[bool], tmp_path: Path) -> None:
    kvm.append(True)
    assert [acceleration.choose_acceleration() for _ in range(2)] == ["kvm", "kvm"]
    assert kvm == []
    memory = tmp_path / "qemu" / "acceleration.json"
    assert json.loads(memory.read_text())["acceleration"] == "kvm"


def test_another_host_boot_or_qemu_is_probed_again(
    kvm: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    kvm.extend([False, True])
    assert acceleration.choose_acceleration() == "kvm"
    monkeypatch.setattr(acceleration, "host_identity", lambda: ["another boot", "this QEMU"])
    assert acceleration.choose_acceleration() == "tcg"


@pytest.mark.parametrize("text", ["", "[]", '{"host": 1}', "{"])
def test_a_broken_cache_is_ignored(kvm: list[bool], tmp_path: Path, text: str) -> None:
    kvm.append(True)
    (tmp_path / "qemu").mkdir()
    (tmp_path / "qemu" / "acceleration.json").write_text(text)
    assert acceleration.choose_acceleration() == "kvm"


def test_without_the_device_nothing_is_probed(
    kvm: list[bool], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceleration, "KVM", tmp_path / "nope")
    assert acceleration.choose_acceleration() == "tcg"


def test_arm64_is_emulated(kvm: list[bool]) -> None:
    kvm.append(True)
    assert acceleration.choose_acceleration("arm64") == "tcg"
    assert kvm == [True]


def test_without_qemu_the_error_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="qemu-system-x86_64: not found") as caught:
        QemuMachine(MachineConfig(boot=UsbBoot(tmp_path))).open()
    assert caught.value.hint == "apt-get install qemu-system-x86"
    with pytest.raises(MachineError, match="qemu-system-aarch64: not found") as caught:
        acceleration.find_program("arm64")
    assert caught.value.hint == "apt-get install qemu-system-arm"
