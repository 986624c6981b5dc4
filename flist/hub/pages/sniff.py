"""What a file is, by its first bytes: names and their endings are not trusted."""

import codecs
from collections.abc import Mapping
from typing import NamedTuple

IMAGES: Mapping[str, tuple[bytes, ...]] = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
}
"""The images that are shown. None of these formats holds a script."""
RIFF, WEBP = b"RIFF", b"WEBP"
OTHERS: Mapping[bytes, str] = {
    b"\x7fELF": "a program or library for Linux (ELF)",
    b"\x1f\x8b": "compressed with gzip",
    b"\xfd7zXZ\x00": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"BZh": "compressed with bzip2",
    b"PK\x03\x04": "a ZIP archive",
    b"SQLite format 3\x00": "a SQLite database",
    b"%PDF-": "a PDF document",
    b"!<arch>\n": "an archive (ar)",
    b"MZ": "a program for UEFI, DOS or Windows",
}
TEXT_BYTES = 128 << 10
IMAGE_BYTES = 8 << 20
SPACES = "\t\n\r\f"
ODD_SHARE = 100  # one control character in so many is still a text


class Preview(NamedTuple):
    """What a page shows of a file: `kind` is "text", "image", "empty" or "other"."""

    kind: str
    said: str
    text: str = ""
    is_cut: bool = False


def find_image(head: bytes) -> str:
    """Return the media type of an image, "" for anything else."""
    if head[:4] == RIFF and head[8:12] == WEBP:
        return "image/webp"
    return next((kind for kind, magic in IMAGES.items() if head.startswith(magic)), "")


def make_preview(head: bytes, size: int) -> Preview:
    """Return what to show of a file of `size` bytes that begins with `head`."""
    if not size:
        return Preview("empty", "An empty file.")
    image = find_image(head)
    if image:
        said = f"An image ({image.removeprefix('image/').upper()})."
        return Preview("image" if size <= IMAGE_BYTES else "other", said)
    other = next((said for magic, said in OTHERS.items() if head.startswith(magic)), "")
    text = None if other else read_text(head[:TEXT_BYTES], is_whole=size <= TEXT_BYTES)
    if text is None:
        return Preview("other", f"This is {other or 'a binary file'}.")
    return Preview("text", "A text.", text, size > TEXT_BYTES)


def read_text(data: bytes, *, is_whole: bool) -> str | None:
    """Return UTF-8 as text, None for what is no text. A character may be cut off at the end."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(data, final=is_whole)
    except UnicodeDecodeError:
        return None
    odd = sum(char < " " and char not in SPACES for char in text)
    return None if "\0" in text or odd > len(text) // ODD_SHARE else text
