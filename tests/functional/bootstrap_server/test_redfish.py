"""`zos bootstrap redfish` against an emulated management controller."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.needs import need_tool
from tests.helpers.services.redfish import (
    MACHINES,
    NOTHING_BUT_FLOPPY,
    PASSWORD,
    USER,
    run_controller,
    serve_iso,
)
from tests.helpers.serving.process import Running

COMMAND_S = 240
ISO = b"\0" * 32768 + b"\x01CD001" + b"\0" * 4096


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with serve_iso(ISO) as url:
        yield url


def boot(
    controller: Running, folder: Path, *words: str, password: str = PASSWORD
) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    secret = folder / "password"
    secret.write_text(f"{password}\n")
    call = [sys.executable, "-m", "zero_os", "bootstrap", "redfish", controller.url]
    call += ["--user", USER, "--password-file", str(secret), *words]
    return subprocess.run(
        call, capture_output=True, text=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL
    )


def read(controller: Running, path: str) -> Any:
    """Return a resource."""
    import urllib3

    head = urllib3.make_headers(basic_auth=f"{USER}:{PASSWORD}")
    return controller.ask(f"/redfish/v1/{path}", Authorization=head["authorization"]).json()


def mounted(controller: Running, machine: str = MACHINES[0]) -> str:
    """Return what is in a machine's virtual CD."""
    return str(read(controller, f"Systems/{machine}/VirtualMedia/Cd")["Image"] or "")


def boot_source(controller: Running, machine: str = MACHINES[0]) -> tuple[str, str]:
    """Return the source and the mode of a machine's next boot."""
    said = read(controller, f"Systems/{machine}")["Boot"]
    return said["BootSourceOverrideTarget"], said["BootSourceOverrideMode"]


def test_a_machine_boots_from_its_farms_iso_and_gives_it_back(tmp_path: Path, server: str) -> None:
    with run_controller(tmp_path / "bmc") as controller:
        farm = ("--farm", "4711", "--server", server, "--insecure")
        done = boot(controller, tmp_path, *farm, "--mode", "uefi")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "" and PASSWORD not in done.stderr
        steps = ("not verified", "connected", "power off", "mounting", "next start", "resetting")
        places = [done.stderr.index(step) for step in (*steps, "the machine starts")]
        assert places == sorted(places)
        assert mounted(controller) == f"{server}/iso/prod/4711.iso"
        assert boot_source(controller) == ("Cd", "UEFI")
        assert read(controller, f"Systems/{MACHINES[0]}")["PowerState"] == "On"
        again = boot(controller, tmp_path, *farm, "--mode", "legacy")
        assert again.returncode == 0, again.stderr
        assert "ejecting" in again.stderr and "ForceRestart" in again.stderr
        assert boot_source(controller) == ("Cd", "Legacy")
        gone = boot(controller, tmp_path, "--eject", "--insecure")
        assert gone.returncode == 0, gone.stderr
        assert mounted(controller) == ""


def test_of_several_machines_one_must_be_named(tmp_path: Path, server: str) -> None:
    image = ("--image", f"{server}/iso/prod/4711", "--insecure")
    with run_controller(tmp_path / "bmc", machines=2) as controller:
        vague = boot(controller, tmp_path, *image)
        assert vague.returncode == 1
        assert "manages several" in vague.stderr and "node-1" in vague.stderr
        wrong = boot(controller, tmp_path, *image, "--system", "node-9")
        assert wrong.returncode == 1 and "has no 'node-9'" in wrong.stderr
        done = boot(controller, tmp_path, *image, "--system", "node-2")
        assert done.returncode == 0, done.stderr
        assert (mounted(controller), mounted(controller, MACHINES[1])) == ("", image[1])


def test_an_image_that_is_not_there_leaves_nothing_mounted(tmp_path: Path, server: str) -> None:
    with run_controller(tmp_path / "bmc") as controller:
        done = boot(controller, tmp_path, "--image", f"{server}/none.iso", "--insecure")
        assert done.returncode == 1
        assert f"cannot mount {server}/none.iso" in done.stderr
        assert mounted(controller) == ""
        assert read(controller, f"Systems/{MACHINES[0]}")["PowerState"] == "Off"


def test_a_machine_that_does_not_start_in_time_gives_the_image_back(
    tmp_path: Path, server: str
) -> None:
    with run_controller(tmp_path / "bmc") as controller:
        image = ("--image", f"{server}/iso/prod/4711", "--insecure", "--timeout", "0")
        done = boot(controller, tmp_path, *image)
        assert done.returncode == 1
        assert "cannot start the machine: it was not done within 0 s" in done.stderr
        assert mounted(controller) == ""


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"SUSHY_EMULATOR_VMEDIA_DEVICES": NOTHING_BUT_FLOPPY}, "no virtual CD"),
        ({"SUSHY_EMULATOR_FEATURE_SET": "minimum"}, "no virtual media"),
    ],
)
def test_a_controller_that_can_mount_no_iso(
    tmp_path: Path, server: str, config: dict[str, object], said: str
) -> None:
    with run_controller(tmp_path / "bmc", config=config) as controller:
        done = boot(controller, tmp_path, "--image", f"{server}/iso/prod/4711", "--insecure")
        assert done.returncode == 1
        assert f"cannot mount an image: {controller.url} has {said}" in done.stderr


def test_a_wrong_password_is_told(tmp_path: Path) -> None:
    with run_controller(tmp_path / "bmc") as controller:
        done = boot(controller, tmp_path, "--eject", "--insecure", password="wrong")
        assert done.returncode == 1
        assert "refuses the user or the password" in done.stderr
        assert "Traceback" not in done.stderr


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate of 127.0.0.1, signed by itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    call = [need_tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    call += ["-subj", "/CN=bmc", "-addext", "subjectAltName=IP:127.0.0.1"]
    call += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(call, check=True, capture_output=True, timeout=COMMAND_S)
    return cert, key


def test_the_certificate_is_verified(tmp_path: Path) -> None:
    tls = make_certificate(tmp_path)
    with run_controller(tmp_path / "bmc", tls=tls) as controller:
        assert controller.url.startswith("https://")
        strange = boot(controller, tmp_path, "--eject")
        assert strange.returncode == 1
        assert "certificate of" in strange.stderr and "--ca FILE" in strange.stderr
        known = boot(controller, tmp_path, "--eject", "--ca", str(tls[0]))
        assert known.returncode == 0, known.stderr
        assert "not verified" not in known.stderr
        blind = boot(controller, tmp_path, "--eject", "--insecure")
        assert blind.returncode == 0 and "not verified" in blind.stderr


@pytest.mark.parametrize(
    ("words", "said", "status"),
    [
        (("http://h", "--eject"), "without TLS", 2),
        (("h", "--image", "ftp://x"), "http:// or https://", 2),
        (("h", "--farm", "4711"), "--server URL", 2),
        (("h", "--farm", "x", "--server", "http://s"), "whole number", 2),
        (("h", "--farm", "1", "--server", "nonsense"), "as the server", 2),
        (("h",), "required", 2),
        (("h", "--eject"), "--password-file FILE", 2),
        (("h", "--eject", "--ca", "/none.pem"), "/none.pem", 1),
        (("https://me:hidden@h", "--eject"), "a password in the address", 2),
        (("h", "--eject", "--timeout", "nan"), "is not from 0", 2),
        (("h", "--eject", "--timeout", "inf"), "is not from 0", 2),
    ],
)
def test_what_the_command_refuses(words: tuple[str, ...], said: str, status: int) -> None:
    call = [sys.executable, "-m", "zero_os", "bootstrap", "redfish", *words, "--user", "x"]
    done = subprocess.run(
        call, capture_output=True, text=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr and "hidden" not in done.stderr


def test_a_controller_that_is_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("x")
    call = [sys.executable, "-m", "zero_os", "bootstrap", "redfish", "127.0.0.1:1", "--eject"]
    call += ["--user", "x", "--password-file", str(secret)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=COMMAND_S)
    assert done.returncode == 1
    assert "127.0.0.1:1 can't be reached" in done.stderr
