"""Writes the small YAML documents that `zinit list` and `zinit status` print.

Quoting follows the Rust crate `yaml-rust`, which upstream uses: a scalar is quoted if a YAML
parser would otherwise read it as another type.
"""

SPECIAL_STARTS = "&*?|-<>=!%@."
SPECIAL = ":{}[],#`\"'\\"
WORDS = ("yes", "no", "on", "off", "true", "false", "null", "~")
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def format_yaml(entries: "dict[str, object] | dict[str, str]") -> str:
    """Return a document with a mapping, whose values may be mappings."""
    if not entries:
        return "---\n{}\n"
    lines = ["---"]
    for key, value in entries.items():
        if isinstance(value, dict) and value:
            lines.append(f"{format_scalar(key)}:")
            lines += [
                f"  {format_scalar(name)}: {format_scalar(item)}" for name, item in value.items()
            ]
        else:
            lines.append(f"{format_scalar(key)}: {format_scalar(value)}")
    return "\n".join(lines) + "\n"


def format_scalar(value: object) -> str:
    """Return text, a number or an empty mapping."""
    if isinstance(value, dict):
        return "{}"
    if not isinstance(value, str):
        return str(value)
    return f'"{escape(value)}"' if needs_quotes(value) else value


def needs_quotes(text: str) -> bool:
    """Return whether `text` must be quoted."""
    if not text or text != text.strip(" ") or text[0] in SPECIAL_STARTS:
        return True
    if text.lower() in WORDS and text in (text.lower(), text.upper(), text.capitalize()):
        return True
    if any(char in SPECIAL or char < " " or char == "\x7f" for char in text):
        return True
    return text.startswith("0x") or is_number(text)


def is_number(text: str) -> bool:
    """Return whether a parser would read `text` as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def escape(text: str) -> str:
    """Return `text` escaped for double quotes."""
    return "".join(
        ESCAPES.get(char) or (char if char >= " " else f"\\u{ord(char):04x}") for char in text
    )
