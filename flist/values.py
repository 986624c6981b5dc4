"""How words of a command line become values; what makes no sense is refused by argparse."""

import argparse
import re
from pathlib import Path

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
MAX_PROCESSES = 256


def parse_path(text: str) -> Path:
    """Return a path. An empty word (mostly a variable that is not set) is not this directory."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; . is this directory")
    return Path(text)


def parse_size(text: str) -> int:
    """Return the bytes of `500M`, `4G`, `1048576`."""
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
    """Return key and value of a tag."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return check_text(key), check_text(value)


def parse_token(text: str) -> str:
    """Return a token, which goes into a header."""
    token = text.strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise argparse.ArgumentTypeError("a token has no such characters")
    return token


def check_text(text: str) -> str:
    """Return `text`, which must be UTF-8: a flist's tags and stores are text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not UTF-8") from error
    return text
