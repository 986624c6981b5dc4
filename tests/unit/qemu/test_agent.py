"""The agent itself: its port, and that it needs nothing but the standard library."""

from pathlib import Path

from qemu import agent
from qemu.args import AGENT_PORT


def test_the_port_is_found_by_name(tmp_path: Path) -> None:
    assert agent.find_port(tmp_path, 0.2) is None
    for name, text in (("vport1p1", "other\n"), ("null", f"{agent.PORT_NAME}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(text)
    assert agent.find_port(tmp_path, 5) == Path("/dev/null")


def test_host_and_guest_use_the_same_port_name() -> None:
    assert agent.PORT_NAME == AGENT_PORT


def test_the_agent_needs_only_the_standard_library() -> None:
    text = Path(agent.__file__).read_text()
    assert "from qemu" not in text
    assert "from common" not in text
