"""An older flist whose router.yaml distributes its blocks over two stores."""

import os
import struct
from pathlib import Path

from flist.format.legacy.blocks import encode_legacy
from flist.store.base import open_store
from tests.helpers.flist.legacy import (
    Record,
    directory,
    directory_key,
    entry,
    rights_record,
    write_legacy,
)
from tests.helpers.flist.mount import rfs
from tests.helpers.flist.servers import redis_server

ROUTER = """
pools:
  low: {{"00:7f": "zdb://127.0.0.1:{low}"}}
  high: {{"80:ff": "ardb://127.0.0.1:{high}"}}
lookup: [low, high]
"""


def write_files(meta: Path, contents: list[bytes], ports: tuple[int, int]) -> None:
    """Write a flist of files, each block to the store that the router names."""
    stores = [open_store(f"redis://127.0.0.1:{port}") for port in ports]
    entries = []
    for number, content in enumerate(contents):
        block, data = encode_legacy(content)
        stores[block.id[0] >> 7].put(block.id, data)
        chunk = Record(struct.pack("<HHI", 128, 0, 0), ([Record(b"", (block.id, block.key))],))
        entries.append(entry(f"{number}", 1, len(content), chunk, "acl"))
    for store in stores:
        store.close()
    records = {
        directory_key(""): directory("", entries, "acl"),
        "acl": rights_record(0o100644, os.getuid(), os.getgid()),
    }
    metadata = {"backend": '{"host": "127.0.0.1", "port": 1}'}  # the router has precedence
    write_legacy(meta, records, metadata, ROUTER.format(low=ports[0], high=ports[1]).encode())


def test_each_block_comes_from_its_pool(tmp_path: Path) -> None:
    meta = tmp_path / "old.flist"
    contents = [os.urandom(300) for _ in range(40)]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with redis_server(tmp_path / "a") as low, redis_server(tmp_path / "b") as high:
        write_files(meta, contents, (low, high))
        assert f"80-ff=redis://127.0.0.1:{high}" in rfs("inspect", meta).stdout
        rfs("unpack", "-m", meta, "-c", tmp_path / "cache", tmp_path / "out")
        rfs("convert", "-m", meta, "-o", tmp_path / "new.fl", "-s", f"dir://{tmp_path}/blocks")
    rfs("unpack", "-m", tmp_path / "new.fl", "-c", tmp_path / "c", tmp_path / "again")
    for folder in ("out", "again"):
        found = [(tmp_path / folder / str(number)).read_bytes() for number in range(40)]
        assert found == contents


def test_an_invalid_router_is_reported(tmp_path: Path) -> None:
    meta = tmp_path / "old.flist"
    write_legacy(meta, {}, {}, b"pools: {p: {'00': 'dir:///etc'}}\nlookup: [p]")
    done = rfs("tree", meta, check=False)
    assert done.returncode == 1
    assert "not a zdb or redis store" in done.stderr
