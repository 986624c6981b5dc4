"""Ctrl-C ends a build at once, whatever it is doing."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.functional.image.conftest import Frozen
from tests.functional.image.elsewhere import Order
from tests.helpers.checkout import TOP

SLOW = 19
END_S = 10.0  # a second on a machine that does nothing else; compressing takes much longer

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize(
    "moment",
    [
        "checking the locked Debian packages",
        "reading what the libraries import",
        "compressing libraries and Python",
    ],
)
def test_a_build_is_interrupted(
    caches: Path, frozen: Frozen, keys: Path, tmp_path: Path, moment: str
) -> None:
    cache, output = tmp_path / "cache", tmp_path / "output"
    for path in (cache, output):
        path.mkdir()
    for name in ("debian", "pool"):
        (cache / name).symlink_to(caches / name)
    order = Order(output, keys, None, SLOW, frozen, os.getuid(), 0.0)
    (tmp_path / "order").write_bytes(pickle.dumps(order))
    processor = {min(os.sched_getaffinity(0))}
    call: list[str | Path] = [
        sys.executable,
        "-u",
        "-m",
        "tests.functional.image.elsewhere",
        tmp_path / "order",
    ]
    with subprocess.Popen(
        call,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=TOP,
        env={**os.environ, "ZOS_CACHE": str(cache)},
        preexec_fn=lambda: os.sched_setaffinity(0, processor),
    ) as process:
        assert process.stdout
        told = next((line for line in process.stdout if moment in line), "")
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        rest = process.stdout.read()
        status = process.wait(END_S)
        took_s = time.monotonic() - began
    assert told
    assert (status != 0, "KeyboardInterrupt" in rest) == (True, True), rest
    assert took_s < END_S
    assert list(output.iterdir()) == []
    assert list((cache / "runs").glob("*-*")) == []
