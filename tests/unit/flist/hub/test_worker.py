"""What a worker may reach, and how its files are read."""

import os
from pathlib import Path

import pytest

from common.errors import UsageError
from flist.hub.jobs.confine import is_public
from flist.hub.jobs.inside import open_folder, read_blocks, read_inside
from flist.hub.jobs.process import WorkError, parse_line
from flist.oci.source.auth import read_credentials


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::10.1.2.3", False),
        ("::ffff:0:10.1.2.3", False),
        ("64:ff9b::10.1.2.3", False),
        ("64:ff9b::1.1.1.1", True),
        ("2002:a01:203::1", False),
        ("2002:101:101::1", True),
        ("no address", False),
    ],
)
def test_only_the_internet_is_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected


def test_links_pipes_and_large_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "large").write_bytes(bytes(11))
    with open_folder(tmp_path) as folder:
        assert b"".join(read_inside(folder, "secret", 10)) == b"secret"
        for name in ("link", "pipe", "folder", "large", "absent", "../secret-not"):
            with pytest.raises(WorkError):
                list(read_inside(folder, name, 10))


def test_blocks_behind_a_link_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "aa").mkdir(parents=True)
    (tmp_path / "elsewhere" / "aa" / "block").write_bytes(b"x")
    (tmp_path / "blocks").symlink_to("elsewhere")
    with open_folder(tmp_path) as folder, pytest.raises(WorkError):
        list(read_blocks(folder, 10))


@pytest.mark.parametrize(
    "line", [b"", b"no json", b"[]", b"5", b'{"result": 1}', b'{"progress": "x"}', b"[" * 100_000]
)
def test_a_worker_that_says_nonsense_has_failed(line: bytes) -> None:
    with pytest.raises(WorkError):
        parse_line(line)


@pytest.mark.parametrize("auth", ["é", "YQ==", "!", "gIA=", "\U0001f600"])
def test_credentials_that_are_no_base64_of_a_pair_are_refused(auth: str) -> None:
    with pytest.raises(UsageError, match="--auth"):
        read_credentials(username="", password="", auth=auth, identity_token="", registry_token="")
