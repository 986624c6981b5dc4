"""What the daemon answers if it has nobody to report to."""

import pytest

from common.ipc.server import Peer
from core.errors import CoreError
from core.report.daemon import idle
from core.report.parameters import parse_parameters


@pytest.mark.parametrize(
    ("words", "is_problem"),
    [
        ({"farmer_id": "1"}, False),
        ({"farmer_id": "1", "registry": "ftp://registry.example"}, True),
        ({"registry": "https://registry.example"}, True),
    ],
)
def test_a_node_without_a_registry_has_no_problem(words: dict[str, str], is_problem: bool) -> None:
    with pytest.raises(CoreError) as refused:
        parse_parameters(words)
    status = idle(refused.value).methods["status"].function(Peer(1, 0, 0))
    assert status["why"].startswith("the node does not report: ")
    assert [problem["text"] for problem in status["problems"]] == [status["why"]] * is_problem
