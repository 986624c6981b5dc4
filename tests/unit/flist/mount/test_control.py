"""The control socket of a mount, and its statistics."""

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from common.errors import UsageError
from flist.errors import FlistError
from flist.mount import control
from flist.mount.control import address_of, answer_all, ask_mount, sum_statistics
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher

PID_MAX = 1 << 22  # no process has a number above this, so the addresses here are free


def make_reader(*durations_s: float) -> Reader:
    """Return a version of a flist whose blocks took these times to fetch."""
    fetcher = Fetcher(None, None)
    for duration_s in durations_s:
        fetcher.statistics.note_fetch(1000, duration_s)
    return Reader(Tree.__new__(Tree), fetcher)


def test_the_keys_do_not_depend_on_what_was_fetched() -> None:
    idle, busy = (
        sum_statistics([make_reader()]),
        sum_statistics([make_reader(1.0, 2.0), make_reader(0.5)]),
    )
    assert idle.keys() == busy.keys()
    assert (idle["fetch_s"], idle["mean_s"], idle["versions"]) == (0.0, 0.0, 1)
    assert (busy["fetched"], busy["fetched_bytes"], busy["versions"]) == (3, 3000, 2)
    assert (busy["fetch_s"], busy["mean_s"], busy["slowest_s"]) == (3.5, 1.166667, 2.0)


def listen(handler: control.Handler, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Answer requests about any mount in a thread."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    pid = PID_MAX + os.getpid()
    listener.bind(address_of(pid))
    listener.listen()
    monkeypatch.setattr(control, "find_server", lambda _target: pid)
    threading.Thread(target=answer_all, args=(listener, handler), daemon=True).start()
    return listener


def test_no_failure_of_a_request_ends_the_answers(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    errors = [UsageError("no such store"), RuntimeError("a bug"), FlistError("no", hint="do this")]

    def handle(request: dict[str, Any]) -> dict[str, Any]:
        if request["n"] < len(errors):
            raise errors[request["n"]]
        return {"n": request["n"]}

    with listen(handle, monkeypatch):
        for number, text in enumerate(("no such store", "internal error: a bug", "no")):
            with pytest.raises(FlistError, match=text):
                ask_mount(Path("/"), {"n": number})
        assert ask_mount(Path("/"), {"n": 3}) == {"n": 3}
    assert "RuntimeError: a bug" in capfd.readouterr().err


@pytest.mark.parametrize("answer", [b"", b"[]\n", b"3\n"])
def test_a_reply_that_says_nothing_is_no_success(
    answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = 2 * PID_MAX + os.getpid()
    monkeypatch.setattr(control, "find_server", lambda _target: pid)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address_of(pid))
        listener.listen()

        def reply() -> None:
            with listener.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(FlistError, match="no answer"):
            ask_mount(Path("/"), {"command": "remount"})
        thread.join()
