"""The registry of `zos boot` has the node's farm, and takes the node's reports."""

import json
import time
from pathlib import Path
from typing import Any

from tests.helpers.asgi import ask, send_body
from tests.helpers.registry.site import Node
from zero_os.boot.registry import prepare_registry


def test_a_node_of_the_farm_can_report(tmp_path: Path) -> None:
    app = prepare_registry(tmp_path / "registry", 7)

    def send(method: str, path: str, body: bytes) -> tuple[int, Any]:
        answer = ask(app, path) if method == "GET" else send_body(app, method, path, body, {})
        return answer.status, json.loads(answer.body)

    assert send("GET", "/api/v1/farms/7", b"")[1]["name"] == "farm-7"
    assert Node(send, time.time, farm=7).register()[0] == 200
    assert Node(send, time.time, farm=8).register()[0] == 404
    app.state.registry.close()
