"""The project's layer: its sources, and the keys built into it."""

import base64
from pathlib import Path

import pytest

from image.errors import ImageError
from image.parts.project import AGENT, PROGRAMS, add_agent, collect_sources, read_keys
from image.release.identity import tree_identity

KEY = base64.b64encode(bytes(range(32))).decode()


def test_keys_are_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# mine\n\n {KEY}  # laptop\n{KEY}\n")
    assert read_keys(path) == f"{KEY}\n{KEY}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# none\n",
        f"private: {KEY}\n",
        f"{KEY}x\n",
        f"{KEY[:-4]}\n",
        "ssh-ed25519 AAAA\n",
        "\xff\n",
    ],
)
def test_an_invalid_key_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ImageError, match="key"):
        read_keys(path)


def test_a_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_keys(tmp_path / "absent")


def test_only_a_debug_release_has_the_agent() -> None:
    sources = collect_sources()
    assert not [path for path in sources if "agent" in path]
    debug = add_agent(sources)
    added = set(debug) - set(sources)
    assert added == {AGENT.rpartition("/")[0], AGENT, "etc/zinit/debug-agent.yaml"}
    assert tree_identity(debug) != tree_identity(sources)


def test_a_node_gets_the_project_without_the_servers() -> None:
    paths = set(collect_sources())
    top = "usr/lib/zero-os"
    assert f"{top}/zinit/boot.py" in paths
    assert f"{top}/zero_os/cli.py" in paths
    assert any(path.startswith("etc/zinit/") for path in paths)
    unwanted = (
        "flist/hub",
        "zero_os/boot",
        "zero_os/shell",
        "image",
        "qemu",
        "bootstrap_server",
        "node/etc",
    )
    assert not [p for p in paths for name in unwanted if p.startswith(f"{top}/{name}/")]
    for module, _ in PROGRAMS.values():
        assert f"{top}/{module.replace('.', '/')}.py" in paths
