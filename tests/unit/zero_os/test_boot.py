"""The options of `zos boot`, its report and its servers."""

import json
from typing import Any

import pytest
import urllib3

from common.errors import UsageError
from zero_os.boot.options import parse_options
from zero_os.boot.report import Report
from zero_os.boot.servers import CountedApp, listen, serve
from zero_os.boot.timeline import STAGES, Timeline


def test_defaults() -> None:
    options = parse_options([], "zos boot")
    assert (options.firmware, options.farm, options.is_exit, options.is_json) == (
        "bios",
        1,
        False,
        False,
    )


@pytest.mark.parametrize("farm", ["0", "-1", "4294967296"])
def test_an_invalid_farm(farm: str) -> None:
    with pytest.raises(UsageError, match=f"farm {farm}"):
        parse_options(["--farm", farm], "zos boot")


@pytest.mark.parametrize("words", [["--firmware", "coreboot"], ["--farm", "x"], ["surplus"]])
def test_invalid_options(words: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(words, "zos boot")
    assert caught.value.code == 2


@pytest.mark.parametrize("timeout", ["0", "-5", "nan"])
def test_an_invalid_time_out(timeout: str) -> None:
    with pytest.raises(UsageError):
        parse_options(["--timeout", timeout], "zos boot")


def test_the_report_is_one_json_object_on_one_line() -> None:
    timeline = Timeline()
    for second, stage in enumerate(STAGES):
        timeline.reach(stage, float(second))
    report = Report(7, "uefi", "tcg", timeline, 30, 100, 20, 3, "PONG")
    text = report.as_json()
    assert "\n" not in text
    seen = json.loads(text)
    assert list(seen["timeline"]) == list(STAGES)
    assert (seen["farm"], seen["fetched_bytes"], seen["workload"]["answer"]) == (7, 20, "PONG")


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Serve only /there."""
    status = 200 if scope["path"] == "/there" else 404
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"12345"})


def test_successful_responses_are_counted() -> None:
    app = CountedApp(answer)
    listener = listen()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with serve(app, listener), urllib3.PoolManager() as pool:
        for path in ("/there", "/there", "/elsewhere"):
            pool.request("GET", url + path, timeout=60, retries=False)
        assert app.requests["/there"] == 2
        assert app.bytes_below("/") == 10
    assert listener.fileno() == -1  # do not probe the port: another process may have it now
