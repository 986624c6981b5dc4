"""Parsers for the values of command-line options.

Each returns the value or raises `argparse.ArgumentTypeError`, which argparse turns into a message.
"""

import argparse
import re
from pathlib import Path

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MAX_PROCESSES = 256


def parse_path(text: str) -> Path:
    """Return a path. An empty word is refused: most often it is a shell variable that is not set,
    and `Path` would turn it into the current directory."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; write . for the current directory")
    return Path(text)


def parse_size(text: str) -> int:
    """Return the number of bytes of a size such as `500M`, `4G` or `1048576`."""
    match = re.fullmatch(r"(\d{1,18})([KMGT]?)(i?B)?", text.strip(), re.IGNORECASE | re.ASCII)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 500M or 4G")
    return int(match[1]) * UNITS[match[2].upper()]


def parse_seconds(text: str) -> float:
    """Return a number of seconds that is not negative."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def parse_processes(text: str) -> int:
    """Return a number of processes; 0 means one per processor."""
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > MAX_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to {MAX_PROCESSES}")
    return int(text)


def parse_tag(text: str) -> tuple[str, str]:
    """Return the key and the value of a tag."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return check_text(key), check_text(value)


def parse_token(text: str) -> str:
    """Return a token, which becomes part of an HTTP header."""
    token = text.strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise argparse.ArgumentTypeError("a token consists of printable ASCII characters")
    return token


def is_hash(text: str) -> bool:
    """Return whether `text` is 64 hex digits: the name of a file or block on a server."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


def parse_hash(text: str) -> str:
    """Return the name of a file or block on a server."""
    if not is_hash(text):
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is not a hash of 64 hex digits")
    return text


def check_text(text: str) -> str:
    """Return `text` if it is UTF-8, which a flist's tags and stores must be."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not UTF-8") from error
    return text
