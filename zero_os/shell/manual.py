"""Man pages of section 1 as text (man(7) macros): one for `zos`, and one for each verb. Pure."""

from collections.abc import Iterator, Sequence

from zero_os.shell.commands import Command, Option


def pages(commands: Sequence[Command], version: str) -> dict[str, str]:
    """Return the pages by file name."""
    found = {}
    for command in commands:
        if len(command.words) <= 2:
            inner = [one for one in commands if one.words[:2] == command.words and one != command]
            name = "-".join(command.words)
            text = "".join(page(command, inner if len(command.words) == 2 else [], version))
            found[f"{name}.1"] = text
    verbs = [one for one in commands if len(one.words) == 2]
    rows = "".join(f".TP\n.BR {escape('-'.join(one.words))} (1)\n{line(one.summary)}"
                   for one in verbs)  # fmt: skip
    found["zos.1"] += f".SH VERBS\n{rows}"
    return found


def page(command: Command, inner: Sequence[Command], version: str) -> Iterator[str]:
    """Yield the parts of the page of one command and its subcommands."""
    name = "-".join(command.words)
    yield f'.TH {escape(name.upper())} 1 "" "Zero-OS {escape(version)}"\n'
    yield f".SH NAME\n{escape(name)} \\- {line(command.summary)}"
    yield f".SH SYNOPSIS\n{line(command.usage)}"
    if command.description:
        yield f".SH DESCRIPTION\n{paragraphs(command.description)}"
    if command.options:
        yield ".SH OPTIONS\n" + "".join(map(option_text, command.options))
    if inner:
        yield ".SH COMMANDS\n"
    for one in inner:
        yield f".SS {escape(' '.join(one.words))}\n{line(one.summary)}.PP\n{line(one.usage)}"
        if one.description and one.description != one.summary:
            yield f".PP\n{paragraphs(one.description)}"
        yield from map(option_text, one.options)


def option_text(option: Option) -> str:
    """Return one option, or one argument."""
    names = ", ".join(f"\\fB{escape(flag)}\\fR" for flag in option.flags)
    value = f"\\fI{escape(option.argument)}\\fR" if option.argument else ""
    text = option.help + (f" (one of {', '.join(option.choices)})" if option.choices else "")
    return f".TP\n{' '.join(filter(None, (names, value)))}\n{line(text or ' ')}"


def paragraphs(text: str) -> str:
    """Return text whose paragraphs are apart by empty lines; indented ones stay as they are."""
    parts = []
    for part in text.strip().split("\n\n"):
        is_literal = part.startswith(" ")
        lines = "".join(line(row) for row in part.splitlines())
        parts.append(f".nf\n{lines}.fi\n" if is_literal else lines)
    return ".PP\n".join(parts)


def line(text: str) -> str:
    """Return one line of text, which no macro can begin."""
    shown = escape(text.strip() or " ")
    return f"\\&{shown}\n" if shown.startswith((".", "'")) else f"{shown}\n"


def escape(text: str) -> str:
    """Return text without what roff would obey."""
    return text.replace("\\", "\\e").replace("-", "\\-")
