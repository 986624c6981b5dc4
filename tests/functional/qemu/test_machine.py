"""A real QEMU with small boot sectors: console, screen, events, and how it ends."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from qemu.errors import MachineEndedError, MachineError, WaitTimeoutError
from qemu.machine import QemuMachine
from qemu.model import Boot, Forward, IsoBoot, MachineConfig, NetworkBoot, UsbBoot
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool, need_uefi
from tests.helpers.processes import is_alive
from tests.helpers.vm import sector
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.vm
BOOT_S = 120  # a boot sector takes 1 s, from the network 7 s
UEFI_S = 280  # 13 s
Maker = Callable[..., MachineConfig]


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tool("qemu-system-x86_64")


@pytest.fixture
def configure(tmp_path: Path) -> Maker:
    """Return a function that configures a small machine which runs code from USB."""

    def make(*code: bytes, **settings: object) -> MachineConfig:
        image = sector.write_sector(tmp_path / "disk.img", *code)
        return MachineConfig(boot=UsbBoot(image), memory_mib=64, acceleration="tcg", **settings)  # type: ignore[arg-type]

    return make


def test_console_lines_carry_times_and_go_to_the_log(configure: Maker, tmp_path: Path) -> None:
    seen: list[str] = []
    config = configure(sector.say("\r\none\r\ntwo\r\nprompt> "), sector.HALT)
    with QemuMachine(
        config, artefacts=tmp_path / "kept", on_console_line=lambda line: seen.append(line.text)
    ) as machine:
        two = machine.wait_for_console_text("two", timeout_s=BOOT_S)
        prompt = machine.wait_for_console_text(re.compile(r"^pro.pt>$"), timeout_s=BOOT_S)
        assert 0 < two.at_s <= prompt.at_s <= machine.console.clock()
        # The firmware prints first.
        assert [line.text for line in machine.console_lines()][-3:] == ["one", "two", "prompt>"]
    assert seen[-2:] == ["one", "two"]
    log = (tmp_path / "kept" / "console.log").read_text().splitlines()
    assert [row.split("] ", 1)[1] for row in log][-3:] == ["one", "two", "prompt>"]
    assert all(re.fullmatch(r"\[ *\d+\.\d{3}\] .*", row) for row in log)


def test_console_input_reaches_the_guest(configure: Maker) -> None:
    with QemuMachine(configure(sector.say("go\r\n"), sector.echo_forever())) as machine:
        machine.wait_for_console_text("go", timeout_s=BOOT_S)
        machine.send_console("GDKKN")
        machine.wait_for_console_text("HELLO", timeout_s=BOOT_S)


def test_a_time_out_shows_the_last_output(configure: Maker, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    config = configure(sector.say("so far\r\n"), sector.SPIN)
    with pytest.raises(WaitTimeoutError, match=r"no 'never' .* within 1 s(.|\n)*so far") as caught:
        with QemuMachine(config, artefacts=kept) as machine:
            machine.wait_for_console_text("so far", timeout_s=BOOT_S)
            machine.wait_for_console_text("never", timeout_s=1)
    assert any(str(kept) in note for note in caught.value.__notes__)
    assert "so far" in (kept / "console.log").read_text()
    assert "SeaBIOS" in (kept / "screen.txt").read_text()
    picture = next(kept.glob("screen.p*"))
    assert picture.read_bytes()[:2] in (b"\x89P", b"P6")
    assert (kept / "qemu.log").read_text().startswith("qemu-system-x86_64 ")


def test_a_power_off_ends_every_wait_at_once(configure: Maker) -> None:
    config = configure(sector.say("bye\r\n"), sector.power_off(), sector.SPIN)
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("bye", timeout_s=BOOT_S)
        machine.wait_for_shutdown(timeout_s=BOOT_S)
        began = time.monotonic()
        with pytest.raises(MachineEndedError, match=r"ended \(guest-shutdown\)(.|\n)*bye"):
            machine.wait_for_console_text("never", timeout_s=BOOT_S)
        with pytest.raises(MachineEndedError, match="no event RESET"):
            machine.wait_for_event("RESET", timeout_s=BOOT_S)
        assert time.monotonic() - began < BOOT_S / 2
        event = machine.wait_for_event("SHUTDOWN", timeout_s=BOOT_S)
        assert event.data["reason"] == "guest-shutdown"
        assert not machine.is_running


def test_a_reset_is_an_event_and_reboots(configure: Maker) -> None:
    with QemuMachine(configure(sector.say("up\r\n"), sector.reset(), sector.SPIN)) as machine:
        first = machine.wait_for_console_text("up", timeout_s=BOOT_S)
        machine.wait_for_event("RESET", timeout_s=BOOT_S)
        again = machine.wait_for_console_text("up", timeout_s=BOOT_S, since=first.number + 1)
        assert again.at_s > first.at_s


def test_a_reboot_can_end_the_machine(configure: Maker) -> None:
    config = configure(sector.say("up\r\n"), sector.reset(), is_reboot_allowed=False)
    with QemuMachine(config) as machine:
        machine.wait_for_shutdown(timeout_s=BOOT_S)


def test_a_panic_ends_every_wait_at_once_and_saves_the_screen(
    configure: Maker, tmp_path: Path
) -> None:
    config = configure(sector.show("OOPS"), sector.say("oops\r\n"), sector.panic(), sector.SPIN)
    with pytest.raises(MachineEndedError, match=r"the guest panicked(.|\n)*oops"):
        with QemuMachine(config, artefacts=tmp_path / "kept") as machine:
            machine.wait_for_console_text("never", timeout_s=BOOT_S)
    assert (tmp_path / "kept" / "screen.txt").read_text().startswith("OOPS")
    assert "GUEST_PANICKED" in (tmp_path / "kept" / "events.json").read_text()


def test_the_screen_is_read_where_the_console_has_scrolled_to(configure: Maker) -> None:
    """Linux scrolls by moving the start of the screen; here by two rows, or 160 cells."""
    scroll = sector.out_word(0x3D4, 0x0C) + sector.out_word(0x3D4, 160 << 8 | 0x0D)
    old, new = sector.show("OLD"), sector.show("NEW", cell=160)
    config = configure(old, new, scroll, sector.say("scrolled\r\n"), sector.SPIN)
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("scrolled", timeout_s=BOOT_S)
        assert machine.screen.text().startswith("NEW")
        assert "OLD" not in machine.screen.text()


def test_a_guest_may_continue_after_a_panic(configure: Maker) -> None:
    config = configure(sector.panic(), sector.say("went on\r\n"), sector.SPIN, on_panic="none")
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("went on", timeout_s=BOOT_S)
        assert machine.wait_for_event("GUEST_PANICKED", timeout_s=BOOT_S)
        assert machine.why_ended() is None


def test_the_power_button_is_tried_first(configure: Maker) -> None:
    code = (
        *[sector.enable_power_button(), sector.say("up\r\n"), sector.wait_for_power_button()],
        *[sector.say("off\r\n"), sector.power_off(), sector.SPIN],
    )
    with QemuMachine(configure(*code)) as machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        machine.stop(powerdown_timeout_s=BOOT_S)
        machine.wait_for_console_text("off", timeout_s=BOOT_S)
        assert machine.process.status == 0
        assert machine.why_ended() == "the machine has ended (guest-shutdown)"


@pytest.mark.parametrize("press", [QemuMachine.stop, QemuMachine.shutdown])
def test_the_power_button_is_pressed_again(
    configure: Maker, monkeypatch: pytest.MonkeyPatch, press: Callable[[QemuMachine, float], None]
) -> None:
    monkeypatch.setattr("qemu.session.PRESS_AGAIN_S", 0.1)
    code = (
        *[sector.say("up\r\n"), sector.wait_for_byte(), sector.enable_power_button()],
        *[sector.wait_for_power_button(), sector.power_off(), sector.SPIN],
    )
    with QemuMachine(configure(*code)) as machine, ThreadPoolExecutor() as pool:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        pressing = pool.submit(press, machine, BOOT_S)
        machine.wait_for_event(
            "POWERDOWN", timeout_s=BOOT_S
        )  # ignored: the guest does not handle it yet
        machine.send_console("x")
        pressing.result()
        assert machine.why_ended() == "the machine has ended (guest-shutdown)"


def test_a_guest_that_ignores_the_button_is_stopped(configure: Maker) -> None:
    machine = QemuMachine(configure(sector.say("up\r\n"), sector.SPIN), powerdown_timeout_s=0.5)
    with machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        pid = machine.process.pid
    assert machine.process.status == 0
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()
    machine.close()  # a second call does nothing


def test_a_qemu_that_hangs_is_killed(configure: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qemu.session.QUIT_DEADLINE_S", 0.5)
    monkeypatch.setattr("qemu.process.TERMINATE_DEADLINE_S", 0.5)
    with QemuMachine(configure(sector.say("up\r\n"), sector.SPIN)) as machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        pid = machine.process.pid
        assert pid
        os.kill(pid, 19)  # SIGSTOP: it answers neither QMP nor SIGTERM
    assert machine.process.wait(BOOT_S)
    assert machine.process.status == -9


def test_the_death_of_qemu_ends_every_wait_at_once(configure: Maker) -> None:
    with QemuMachine(configure(sector.say("up\r\n"), sector.SPIN)) as machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        assert machine.process.pid
        os.kill(machine.process.pid, 9)
        with pytest.raises(MachineEndedError, match="status -9"):
            machine.wait_for_console_text("never", timeout_s=BOOT_S)
        with pytest.raises(MachineError, match="monitor is closed"):
            machine.reset()


def test_the_screen_is_read_as_text_and_saved(configure: Maker, tmp_path: Path) -> None:
    with QemuMachine(configure(sector.show("Hello, VGA"), sector.HALT)) as machine:
        assert machine.screen.wait_for_text("Hello, VGA", timeout_s=BOOT_S).startswith("Hello, VGA")
        assert machine.screen.save(tmp_path / "shot.png").stat().st_size > 100
        with pytest.raises(WaitTimeoutError, match=r"within 0.5 s(.|\n)*Hello"):
            machine.screen.wait_for_text("never", timeout_s=0.5)


def test_forwarded_ports_are_free_ports_of_the_host(configure: Maker) -> None:
    config = configure(sector.HALT, forwards=(80, Forward(6379), Forward(53, protocol="udp")))
    with QemuMachine(config) as one, QemuMachine(config) as two:
        ports = [machine.forwarded_port(port) for machine in (one, two) for port in (80, 6379)]
        assert len(set(ports)) == 4
        for port in ports:
            socket.create_connection(("127.0.0.1", port), BOOT_S).close()
        assert one.forwarded_port(53, "udp") != two.forwarded_port(53, "udp")
        with pytest.raises(MachineError, match="tcp port 22 is not forwarded"):
            one.forwarded_port(22)


def test_a_host_port_in_use_is_an_error(configure: Maker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError, match=rf"cannot start the machine: .*{port}"):
            QemuMachine(configure(sector.HALT, forwards=(Forward(80, port),))).open()


@pytest.mark.parametrize("kind", [UsbBoot, IsoBoot])
def test_a_missing_image_is_an_error(tmp_path: Path, kind: Callable[[Path], Boot]) -> None:
    with pytest.raises(MachineError, match=r"cannot boot .*nope\.img: no such file"):
        QemuMachine(MachineConfig(boot=kind(tmp_path / "nope.img"))).open()


def test_an_error_of_qemu_is_reported_with_its_output(configure: Maker, tmp_path: Path) -> None:
    config = configure(sector.HALT, extra_args=("-device", "no-such-device"))
    before = set(threading.enumerate())
    with pytest.raises(MachineError, match=r"cannot start the machine: .*no-such-device"):
        QemuMachine(config, artefacts=tmp_path / "kept").open()
    assert not set(threading.enumerate()) - before
    assert "no-such-device" in (tmp_path / "kept" / "qemu.log").read_text()


def test_two_machines_do_not_share_a_folder_of_logs(configure: Maker, tmp_path: Path) -> None:
    config, folder = configure(sector.say("up\r\n"), sector.HALT), tmp_path / "kept"
    for _ in range(2):  # the folder is free again when its machine has ended
        with QemuMachine(config, artefacts=folder) as machine:
            with pytest.raises(MachineError, match="a machine that runs has its logs there"):
                QemuMachine(config, artefacts=folder).open()
            machine.wait_for_console_text("up", timeout_s=BOOT_S)
            assert (folder / "console.log").exists()


def test_temporary_files_are_removed(
    configure: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    config = configure(sector.say("up\r\n"), sector.HALT)
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("up", timeout_s=BOOT_S)
        assert list(machine.folder.iterdir())
        kept = machine.folder.parent
        assert kept.is_relative_to(tmp_path)
    assert not [path for path in kept.iterdir() if path.is_dir()]
    assert not list(temporary.iterdir())


def test_an_iso_image_boots(tmp_path: Path) -> None:
    need_tool("xorriso")
    tree = tmp_path / "tree"
    tree.mkdir()
    sector.write_sector(tree / "boot.img", sector.say("from a CD\r\n"), sector.HALT)
    iso = tmp_path / "boot.iso"
    words = ["xorriso", "-as", "mkisofs", "-quiet", "-b", "boot.img", "-no-emul-boot"]
    words += ["-boot-load-size", "4", "-o", str(iso), str(tree)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    with QemuMachine(MachineConfig(boot=IsoBoot(iso), acceleration="tcg")) as machine:
        machine.wait_for_console_text("from a CD", timeout_s=BOOT_S)


def test_a_network_boot(tmp_path: Path) -> None:
    sector.write_sector(tmp_path / "boot.0", sector.say("from a net\r\n"), sector.HALT, sectors=1)
    config = MachineConfig(boot=NetworkBoot(tmp_path, "boot.0"), acceleration="tcg")
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("from a net", timeout_s=BOOT_S)


def test_uefi_firmware_boots_with_its_own_variables(configure: Maker) -> None:
    need_uefi()
    config = configure(sector.HALT, firmware="uefi")
    with QemuMachine(config) as machine:
        machine.wait_for_console_text("BdsDxe: loading", timeout_s=UEFI_S)


def test_an_arm64_machine_starts_its_firmware(configure: Maker) -> None:
    need_tool("qemu-system-aarch64")
    need_uefi("arm64")
    config = configure(sector.HALT, architecture="arm64", firmware="uefi")
    with QemuMachine(replace(config, memory_mib=256)) as machine:
        machine.wait_for_console_text("BdsDxe", timeout_s=UEFI_S)


def test_qemu_dies_with_its_parent(configure: Maker, tmp_path: Path) -> None:
    """Even if the parent is killed and can't clean up."""
    config = configure(sector.say("up\r\n"), sector.HALT)
    assert isinstance(config.boot, UsbBoot)
    source = (
        "import sys, time\nfrom pathlib import Path\nfrom qemu.machine import QemuMachine\n"
        "from qemu.model import MachineConfig, UsbBoot\n"
        "boot = UsbBoot(Path(sys.argv[1]))\n"
        "with QemuMachine(MachineConfig(boot=boot, acceleration='tcg')) as machine:\n"
        f"    machine.wait_for_console_text('up', timeout_s={BOOT_S})\n"
        "    print(machine.process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", source, str(config.boot.image)]
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": str(TOP)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as parent:
        try:
            assert parent.stdout
            pid = int(parent.stdout.readline())
            assert is_alive(pid)
        finally:
            parent.kill()
        parent.wait(BOOT_S)
        wait_until(lambda: not is_alive(pid), "QEMU ends")
