"""Key files: the public keys whose flists a node accepts."""

import base64
from pathlib import Path

import pytest

from image.errors import ImageError
from image.recipe.values import read_key_file

KEY = base64.b64encode(bytes(range(32))).decode()


def test_keys_are_read_without_comments(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# mine\n\n {KEY}  # laptop\n{KEY}\n")
    assert read_key_file(path) == f"{KEY}\n{KEY}\n"


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
        read_key_file(path)


def test_a_missing_key_file(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        read_key_file(tmp_path / "absent")
