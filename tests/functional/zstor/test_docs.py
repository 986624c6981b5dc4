"""The example of the documentation works as it stands."""

import re
from pathlib import Path

from tests.helpers.checkout import TOP
from tests.helpers.zstor.farm import Farm, write_file
from zstor.config import parse_config
from zstor.pipeline.retrieving import retrieve
from zstor.pipeline.storing import store_file


def test_the_documented_configuration_stores_a_file(four: Farm, tmp_path: Path) -> None:
    found = re.search(
        r"```toml\n(minimal_shards.*?)```", (TOP / "docs/storage.md").read_text(), re.DOTALL
    )
    assert found
    text = found[1].replace(":9900", f":{four.port}")
    for name in ("d0", "d1", "d2", "d3", "m0", "m1", "m2"):
        four.make(name, "seq" if name.startswith("d") else "user", password="")
    with four.vault(parse_config(text)) as vault:
        store_file(vault, write_file(tmp_path, b"content"), "name")
        retrieve(vault, "name", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
