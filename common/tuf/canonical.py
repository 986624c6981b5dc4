"""Canonical JSON (OLPC's), the form that signatures cover.

Keys are sorted, there is no white space, only `"` and `\\` are escaped, and there are no fractions.
"""

from common.tuf.errors import MalformedError


def encode_canonical(value: object) -> bytes:
    """Return `value` in canonical form. Raises `MalformedError` for what has none."""
    try:
        return _encode(value).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise MalformedError("cannot use metadata: it has no canonical form") from error


def _encode(value: object) -> str:
    match value:
        case str():
            return _quote(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case list():
            return f"[{','.join(map(_encode, value))}]"
        case dict():
            rows = (f"{_quote(key)}:{_encode(item)}" for key, item in sorted(value.items()))
            return f"{{{','.join(rows)}}}"
    raise MalformedError(f"cannot use metadata: it contains {value!r:.80}")


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
