"""The file of tokens for other hubs' private repositories: lines of `URL TOKEN`."""

from pathlib import Path

from common.errors import UsageError
from common.files import open_regular

MAX_BYTES = 1 << 20
OTHERS = 0o077


def read_tokens(path: Path | None) -> dict[str, str]:
    """Return the tokens by URL, none without a file. Raises `UsageError`."""
    if path is None:
        return {}
    try:
        with open_regular(path) as stream:
            text = stream.read(MAX_BYTES).decode()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read tokens {path}: {error}") from error
    if mode & OTHERS:
        raise UsageError(f"cannot use tokens {path}: others may read it", hint="chmod 600")
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and len(words) != 2:
            raise UsageError(f"cannot read tokens {path}: line {number} is not URL TOKEN")
        if words:
            found[words[0]] = words[1]
    return found
