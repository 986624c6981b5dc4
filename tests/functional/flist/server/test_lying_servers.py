"""Servers with invalid JSON: the error is one line without a traceback, and nothing is written."""

import http.server
from pathlib import Path

import pytest

from tests.helpers.flist.servers import serve_handler

NAME = "a" * 64
LIES = [
    "null", "7", "[]", '"x"', "{", "[" * 100_000, '{"blocks": 7}', '{"blocks": null}',
    '{"blocks": [7]}', '{"blocks": [[]]}', '{"blocks": [["x", 0]]}', '{"blocks": [["../x", 0]]}',
    '{"blocks": [{"a": 1}]}', f'{{"blocks": [["{NAME}", "x"]]}}', f'{{"blocks": [["{NAME}"]]}}',
    f'{{"blocks": [["{NAME}", 1e999]]}}', '{"missing": 7}', '{"missing": [[1]]}',
    '{"downloads_count": Infinity, "block_size": "x"}', '{"access_token": 7}',
    '{"access_token": "a\\nb"}',
]  # fmt: skip


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers every request with the same text."""

    protocol_version = "HTTP/1.1"
    lie = b""

    def do_GET(self) -> None:
        """Send the text."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.lie)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(self.lie)

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815 the library's names

    def log_message(self, *words: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("number", range(len(LIES)))
def test_invalid_answers_are_reported(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from common.errors import run_command
    from flist import cli

    kind = type("Lying", (Liar,), {"lie": LIES[number].encode()})
    with serve_handler(kind) as port:
        url = f"http://127.0.0.1:{port}"
        for words in (
            ["download", "-s", url, "-o", f"{tmp_path}/new", NAME],
            ["download-dir", "-s", url, "-o", f"{tmp_path}/new", NAME],
            ["tree", NAME, "--server-url", url],
            ["track", "-s", url, "--token", "t"],
            ["track-blocks", "-s", url, "-a"],
            ["track-blocks", "-s", url, "-H", NAME],
            ["track-website", "-s", url, NAME],
            ["sync", "-s", url, "-d", url],
            ["sync", "-H", NAME, "-s", url, "-d", url],
            ["exists", "-s", url, NAME],
            ["token", "-s", url, "-u", "a", "-p", "b"],
        ):
            status = run_command(lambda argv: cli.main(argv, "rfs"), words, "rfs")
            said = capsys.readouterr()
            assert status in (0, 1), words
            assert status == 0 or said.err.startswith(("rfs: ", "0 of ")) or "missing" in said.out
        assert not list(tmp_path.iterdir())
