"""The project's layer: its sources, and the keys built into it."""

from image.parts.project import AGENT, KEXEC_MARK, add_agent, collect_sources, own_files
from image.recipe.kind import RELEASE
from image.recipe.recipe import Recipe
from image.release.identity import tree_identity
from node import lockdown


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
    for module, _, _ in RELEASE.programs.values():
        assert f"{top}/{module.replace('.', '/')}.py" in paths


def test_a_release_says_whether_other_kernels_may_be_loaded() -> None:
    assert f"/{KEXEC_MARK}" == str(lockdown.KEXEC_MARK)
    assert KEXEC_MARK not in set(own_files(Recipe("virt"), ""))
    assert KEXEC_MARK in set(own_files(Recipe("virt", kexec=True), ""))
