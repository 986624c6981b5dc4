"""Runs the README's two commands on a fresh Debian system.

The system is a root file system of Debian 12 or 13 with only git and python3, made by mmdebstrap
and entered by chroot in its own namespaces (mount, process, host name, IPC). It uses the host's
network and the host's configuration of apt, pip and certificate authorities. Needs root. Takes
about half an hour per Debian release, so it is run by hand.

    ./zos check && .venv/bin/python -m tests.fresh_machine bookworm trixie
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[1]
SUITES = ("bookworm", "trixie")
MAKE_DEADLINE_S = 900
BOOT_DEADLINE_S = 1800
TEST_DEADLINE_S = 3600
HOST_CONFIGURATION = (
    "/etc/apt/apt.conf.d/*prox*",
    "/etc/pip.conf",
    "/usr/local/share/ca-certificates/*",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/resolv.conf",
    "/etc/hosts",
)
CHECKOUT = "/root/zero-os"
# These mounts are in the new mount namespace, which ends with its last process.
ENTER = """
set -e
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""


def main() -> int:
    """Run the commands on every named Debian release; return 0 if all succeed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suite", nargs="*", choices=[*SUITES, []], default=list(SUITES))
    parser.add_argument(
        "--keep", type=Path, help="create the root file systems in this folder and keep them"
    )
    parser.add_argument("--no-test", action="store_true", help="boot only")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("root is needed, for chroot and mount")
    with tempfile.TemporaryDirectory(prefix="zos-fresh-") as scratch:
        folder = options.keep or Path(scratch)
        for suite in options.suite:
            machine = make_machine(suite, folder / suite)
            try_commands(suite, machine, with_tests=not options.no_test)
    return 0


def make_machine(suite: str, root: Path) -> Path:
    """Create the root file system, with a clone of this checkout's last commit."""
    say(suite, "creating a system with only git and python3")
    root.parent.mkdir(parents=True, exist_ok=True)
    call = ["mmdebstrap", "--variant=minbase", "--include=git,python3", suite, str(root)]
    subprocess.run(call, check=True, timeout=MAKE_DEADLINE_S, stderr=subprocess.DEVNULL)
    if not (root / "etc/mtab").is_symlink():  # as on an installed system
        (root / "etc/mtab").symlink_to("../proc/self/mounts")
    copy_host_configuration(root)
    clone = [
        "git",
        "clone",
        "--quiet",
        "--no-hardlinks",
        str(TOP),
        str(root / CHECKOUT.lstrip("/")),
    ]
    subprocess.run(clone, check=True, timeout=MAKE_DEADLINE_S)
    return root


def copy_host_configuration(root: Path) -> None:
    """Let the programs in `root` use the network as the host's do."""
    for pattern in HOST_CONFIGURATION:
        for file in Path("/").glob(pattern.lstrip("/")):
            target = root / str(file).lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)


def try_commands(suite: str, root: Path, *, with_tests: bool) -> None:
    """Boot a node with both firmwares, then run the tests; raise if anything fails."""
    for firmware in ("bios", "uefi"):
        call = ["./zos", "boot", "--exit", "--json", "--firmware", firmware]
        report = json.loads(enter(suite, root, call, BOOT_DEADLINE_S))
        check_report(report, firmware)
        stages = ", ".join(f"{name} {at_s:.1f}" for name, at_s in report["timeline"].items())
        say(
            suite,
            f"{firmware}: {report['fetched_bytes']} of {report['flist_bytes']} bytes; {stages}",
        )
    if with_tests:
        enter(suite, root, ["env", "CI=true", "./zos", "test"], TEST_DEADLINE_S)


def check_report(report: dict[str, Any], firmware: str) -> None:
    """Check the report of `zos boot --exit --json`."""
    assert report["firmware"] == firmware, report
    assert report["farm"] == 1, report
    assert report["workload"]["answer"] == "PONG", report
    assert 0 < report["fetched_bytes"] < report["flist_bytes"] / 2, report


def enter(suite: str, root: Path, command: list[str], deadline_s: int) -> str:
    """Run `command` in the checkout inside `root` and return its stdout."""
    say(suite, " ".join(command))
    began = time.monotonic()
    spaces = ["unshare", "--mount", "--pid", "--fork", "--uts", "--ipc", "--kill-child"]
    inside = ["env", "-i", "HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", *pip_settings()]
    inside += ["sh", "-c", f'cd {CHECKOUT} && exec "$@"', "sh", *command]
    call = [*spaces, "sh", "-c", ENTER, "sh", str(root), *inside]
    done = subprocess.run(call, stdout=subprocess.PIPE, text=True, timeout=deadline_s, check=False)
    if done.returncode != 0:
        sys.exit(
            f"{suite}: {' '.join(command)} failed with status {done.returncode}\n{done.stdout}"
        )
    say(suite, f"done in {time.monotonic() - began:.0f} s")
    return done.stdout


def pip_settings() -> list[str]:
    """Return the host's pip settings as arguments of env(1), except local folders."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    settings.pop("PIP_FIND_LINKS", None)
    return [f"{name}={value}" for name, value in settings.items()]


def say(suite: str, text: str) -> None:
    """Print progress on stderr."""
    print(f"{suite}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
