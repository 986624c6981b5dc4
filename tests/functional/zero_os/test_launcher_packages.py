"""What the launcher installs for a command line, and that it starts no service."""

import ast
import importlib.util
import os
import signal
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.sources import imported_names, source_files
from tests.helpers.waiting import wait_until
from zero_os.cli import VERBS

# Where a tool's name is not that of its package.
PACKAGE_OF = {"apt-get": "apt", "chromedriver": "chromium-driver", "dnsmasq": "dnsmasq-base",
              "dpkg": "", "fsck.fat": "dosfstools",
              "fusermount3": "fuse3", "ip": "iproute2", "kea-dhcp6": "kea-dhcp6-server",
              "ldd": "", "losetup": "mount", "man": "man-db",
              "mcopy": "mtools", "mformat": "mtools",
              "qemu-system-aarch64": "qemu-system-arm",
              "qemu-system-x86_64": "qemu-system-x86", "sbverify": "sbsigntool",
              "setpriv": "util-linux", "softhsm2-util": "softhsm2", "tar": "",
              "taskset": "util-linux", "tpm2": "tpm2-tools", "unshare": "util-linux",
              "no-such-tool": "", "sleep": "",
              "sh": "", "systemd-analyze": "systemd"}  # fmt: skip


def load_launcher() -> Any:
    loader = SourceFileLoader("zos_launcher", str(TOP / "zos"))
    spec = importlib.util.spec_from_loader("zos_launcher", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def launcher() -> Any:
    """Return the launcher as a module."""
    return load_launcher()


def test_only_what_a_file_or_name_needs(launcher: Any) -> None:
    unit = launcher.choose_packages(["test", "tests/unit/zinit", "-q"])
    assert "nginx" not in unit and "qemu-system-x86" not in unit and "cpio" in unit
    vm = launcher.choose_packages(["test", "-x", "tests/vm/test_boot.py::test_it"])
    assert "qemu-system-x86" in vm and "docker-registry" not in vm
    both = launcher.choose_packages(["test", "tests/vm", "tests/functional/flist/oci"])
    assert {"qemu-system-x86", "docker-registry"} <= set(both)
    assert "qemu-system-arm" not in launcher.choose_packages(["vm", "--usb", "farm.img"])
    arm = launcher.choose_packages(["vm", "--architecture", "arm64", "--usb", "farm.img"])
    assert {"qemu-system-arm", "qemu-efi-aarch64"} <= set(arm)
    assert "dnsmasq-base" not in launcher.choose_packages(["bootstrap", "serve"])
    assert "dnsmasq-base" in launcher.choose_packages(["bootstrap", "lan", "--farm", "1"])
    assert launcher.choose_packages(["bench", "zinit"]) == ["runit", "s6", "supervisor"]


@pytest.mark.parametrize(
    "words", [[], ["-k", "machine"], ["--ignore", "tests/vm"], ["tests"], ["-m", "not vm"], ["."]]
)
def test_everything_without_a_file(launcher: Any, words: list[str]) -> None:
    every = {name for names in launcher.TESTS.values() for name in names}
    assert set(launcher.choose_packages(["test", *words])) == every


def test_every_name_in_the_tables_exists(launcher: Any) -> None:
    assert [folder for folder in launcher.TESTS if not (TOP / folder).is_dir()] == []
    benches = {path.stem.removeprefix("bench_") for path in (TOP / "bench").glob("bench_*.py")}
    assert set(launcher.BENCH) == benches
    assert set(launcher.PACKAGES) | {"test", "bench"} == {*VERBS, "help"}


def tools_of(node: ast.AST) -> set[str]:
    """Return the literal names of tools that the code asks for."""
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
    asked = [call for call in calls if ast.unparse(call.func) == "need_tool"]
    return {str(arg.value) for call in asked for arg in call.args if isinstance(arg, ast.Constant)}


def test_tests_get_the_tools_that_they_ask_for(launcher: Any) -> None:
    helpers: dict[str, set[str]] = {}
    for path in source_files("tests/helpers"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                helpers[node.name] = tools_of(node)
    for path in source_files("tests/unit", "tests/functional", "tests/vm"):
        tools = tools_of(ast.parse(path.read_text()))
        for name in imported_names(path):
            if name.startswith("tests.helpers"):
                tools |= helpers.get(name.rpartition(".")[2], set())
        name = str(path.relative_to(TOP))
        there = set(launcher.choose_packages(["test", name]))
        wanted = {PACKAGE_OF.get(tool, tool) for tool in tools} - {""}
        assert wanted <= there, f"{name} needs {wanted - there}"


@pytest.fixture
def machine(launcher: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the launcher with the places that it changes in a folder of the test."""
    etc = tmp_path / "etc"
    for folder in ("systemd/system/multi-user.target.wants", "rc3.d"):
        (etc / folder).mkdir(parents=True)
    (etc / "rc3.d" / "S01old").symlink_to("../init.d/old")
    places = {
        "POLICY": tmp_path / "policy-rc.d",
        "POLICY_ASIDE": tmp_path / "policy-rc.d.before-zos",
        "ENABLED": ((etc / "systemd", "*/**/*"), (etc, "rc[2-5S].d/S*")),
    }
    for name, value in places.items():
        monkeypatch.setattr(launcher, name, value)
    return launcher


@pytest.mark.parametrize("policy", [None, "#!/bin/sh\nexit 104\n"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt, SystemExit])
def test_packages_start_and_enable_no_service(
    machine: Any, tmp_path: Path, policy: str | None, error: type[BaseException] | None
) -> None:
    if policy:
        machine.POLICY.write_text(policy)
    wants = tmp_path / "etc" / "systemd" / "system" / "multi-user.target.wants"
    runlevel = tmp_path / "etc" / "rc3.d"
    try:
        with machine.no_services():
            assert subprocess.run([machine.POLICY], check=False, timeout=60).returncode == 101
            (wants / "redis.service").symlink_to("/usr/lib/systemd/system/redis.service")
            (runlevel / "S02redis").symlink_to("../init.d/redis")
            if error:
                raise error
    except (KeyboardInterrupt, SystemExit):
        assert error
    assert list(wants.iterdir()) == []
    assert sorted(path.name for path in runlevel.iterdir()) == ["K01redis", "S01old"]
    assert (machine.POLICY.read_text() if machine.POLICY.exists() else None) == policy
    assert not machine.POLICY_ASIDE.exists()


def test_a_policy_that_a_killed_run_left_is_replaced(machine: Any) -> None:
    machine.POLICY.write_text(machine.DENY)
    machine.POLICY_ASIDE.write_text("the machine's own")
    with machine.no_services():
        assert machine.POLICY.read_text() == machine.DENY
    assert machine.POLICY.read_text() == "the machine's own"


SLOW = """#!/bin/sh
trap '' INT
echo $$ > "$PLACE/began"
while [ ! -e "$PLACE/go" ]; do sleep 0.05; done
touch "$PLACE/ended"
"""
CALLER = """
import sys
sys.path.insert(0, {top!r})
from tests.functional.zero_os.test_launcher_packages import load_launcher
load_launcher().run([{program!r}], 60)
"""


def test_ctrl_c_waits_for_the_program_that_installs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "dpkg"
    program.write_text(SLOW)
    program.chmod(0o755)
    monkeypatch.setenv("PLACE", str(tmp_path))
    source = CALLER.format(top=str(TOP), program=str(program))
    with subprocess.Popen([sys.executable, "-c", source], stderr=subprocess.DEVNULL) as process:
        wait_until((tmp_path / "began").exists, "it has begun")
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        (tmp_path / "go").touch()
        assert process.wait(60) != 0
    assert (tmp_path / "ended").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "began").read_text()), 0)
