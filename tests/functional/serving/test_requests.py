"""Requests to the tiny server: operation, logs, problems, metrics."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.serving.checks import check_operation
from tests.helpers.serving.process import Running, run_tiny
from tests.helpers.waiting import wait_until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with run_tiny(tmp_path_factory.mktemp("tiny")) as running:
        yield running


def test_operation(server: Running) -> None:
    check_operation(server, "/number/7")


@pytest.mark.parametrize("wrong", ["short", "x" * 200, "with blank", 'quo"te-quote', "a\tb-----"])
def test_an_invalid_request_id_is_replaced(server: Running, wrong: str) -> None:
    answer = server.ask("/number/1", X_Request_ID=wrong)
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_an_unexpected_error_is_logged_once_and_tells_the_client_nothing(server: Running) -> None:
    answer = server.ask("/broken")
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"42" not in answer.data.replace(answer.headers["x-request-id"].encode(), b"")
    own = {"request_id": answer.headers["x-request-id"]}
    assert own["request_id"] in answer.json()["hint"]
    wait_until(lambda: server.find_lines(**own, event="request"), "the request's line")
    (line,) = server.find_lines(**own, event="unexpected error")
    assert "the secret is 42" in line["exception"]
    assert server.log.read_text().count("the secret is 42") == 2  # the source line, the message


def test_a_librarys_log_line_has_the_request_id(server: Running) -> None:
    own_id = server.ask("/number/2").headers["x-request-id"]
    (line,) = wait_until(lambda: server.find_lines(logger="library", request_id=own_id), "its line")
    assert line["event"] == "a library's line"


def test_invalid_input_is_a_problem_with_its_field(server: Running) -> None:
    answer = server.ask("/number/x")
    assert (answer.status, answer.json()["field"]) == (422, "path.value")
    assert "integer" in answer.json()["detail"]


def test_a_rate_limit_says_when_to_try_again(server: Running) -> None:
    answers = [server.ask("/limited") for _ in range(5)]
    assert [answer.status for answer in answers[:3]] == [200, 200, 200]
    assert answers[-1].status == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert answers[-1].headers["content-type"] == "application/problem+json"


def test_the_metrics_name_routes_not_paths(server: Running) -> None:
    server.ask("/number/123456")
    server.ask("/no/such/address")
    server.ask("/number/1", "BREW")
    text = server.ask("/metrics").data.decode()
    assert "123456" not in text
    assert "no/such" not in text
    assert "BREW" not in text
    assert 'zos_http_requests_total{method="GET",route="/number/{value}",status="200"}' in text
    assert 'zos_http_requests_total{method="GET",route="(none)",status="404"}' in text
    assert 'zos_http_requests_total{method="OTHER",' in text


def test_every_line_of_the_log_is_json(server: Running) -> None:
    server.ask("/number/%0a%22%1b[31m")
    url, *lines = server.log.read_text().splitlines()
    assert url == server.url
    assert all(line.startswith("{") for line in lines)
    assert len(server.lines()) == len(lines)


def test_a_server_that_is_not_ready_says_why(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--is-ready", "false") as server:
        answer = server.ask("/ready")
        assert answer.status == 503
        assert answer.json()["reasons"] == {"flag": "the flag is down"}
        assert server.ask("/health").status == 200


def find_requests(server: Running) -> list[dict[str, Any]]:
    """Return the log lines of requests for numbers, once there are any."""
    wanted = {"event": "request", "route": "/number/{value}"}
    return wait_until(lambda: server.find_lines(**wanted), "the log line")


def test_a_trusted_proxy_names_the_client(tmp_path: Path) -> None:
    for trusted, client in (("", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.7")):
        with run_tiny(tmp_path, "--trusted-proxies", trusted) as server:
            server.ask("/number/1", X_Forwarded_For="192.0.2.7")
            (line,) = find_requests(server)
            assert line["client"] == client
