"""The options of `zos boot`, its report and its servers."""

import json
from pathlib import Path

import pytest
import urllib3
from fastapi import FastAPI, Response

from bootstrap_server.nodes.report import IpxeReport
from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app as create_bootstrap
from common.errors import UsageError, ZosError
from serving import kit
from serving.listen import open_listener
from serving.run import serve_in_thread
from serving.settings import ServerSettings
from tests.helpers.waiting import wait_until
from zero_os.boot.cli import main, sent_bytes
from zero_os.boot.node import take_reports
from zero_os.boot.options import parse_options
from zero_os.boot.report import Report
from zero_os.boot.reports import read_reports
from zero_os.boot.timeline import STAGES, Timeline


def test_defaults() -> None:
    options = parse_options([], "zos boot")
    assert (options.firmware, options.farm, options.is_exit, options.is_json) == (
        "bios",
        1,
        False,
        False,
    )


def test_the_profile_is_virt_unless_another_is_chosen() -> None:
    assert parse_options([], "zos boot").profile == "virt"
    assert parse_options(["--profile", "metal"], "zos boot").profile == "metal"


def test_a_profile_that_a_farms_image_cannot_boot_is_refused() -> None:
    with pytest.raises(UsageError, match="farms' images are for amd64, it is for arm64") as caught:
        parse_options(["--profile", "metal-arm64"], "zos boot")
    assert caught.value.hint == "zos vm --architecture arm64"


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


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_an_invalid_port(port: str) -> None:
    with pytest.raises(UsageError, match=f"port {port}"):
        parse_options([f"--port={port}"], "zos boot")


def test_a_port_in_use_is_reported_before_anything_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zero_os.boot.cli.prepare_hub", lambda *_: pytest.fail("it was built"))
    with open_listener("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ZosError, match=f"127.0.0.1:{port}"):
            main(["--port", str(port)], "zos boot")


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


def test_what_the_node_reported_to_the_server_is_shown_once() -> None:
    url = "http://boot.example"
    log = create_bootstrap(Settings(url, url, Path())).state.server.log
    timeline, said = Timeline(), list[str]()
    for stage in ("script", "kernel"):
        log.record(stage, IpxeReport(mac="52:54:00:12:34:56", farm=7))
        take_reports(read_reports(log, 7), timeline, 100.0, said.append)
    log.record("failed", IpxeReport(mac="52:54:00:12:34:56", farm=7, code="ZB31"))
    take_reports(read_reports(log, 7), timeline, 101.0, said.append)
    assert said[:2] == ["reported: script", "reported: kernel"]
    assert said[2].startswith("reported: failed (ZB31): the kernel")
    assert list(timeline.reported) == ["script", "kernel", "failed"]
    assert list(read_reports(log, 8)) == []


def test_what_a_server_has_sent_is_counted() -> None:
    app = FastAPI()
    kit.install(app, ServerSettings())

    @app.get("/kernel/{name}")
    async def give(name: str) -> Response:
        return Response(b"12345")

    listener = open_listener("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with serve_in_thread(app, listener), urllib3.PoolManager() as pool:
        for path in ("/kernel/a", "/kernel/b", "/elsewhere"):
            pool.request("GET", url + path, timeout=60, retries=False)
        wait_until(lambda: sent_bytes(app, "/kernel/") == 10, "the bytes of two kernels")
    assert listener.fileno() == -1  # the port itself may belong to another process by now
