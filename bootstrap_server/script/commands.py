"""iPXE's commands as values.

A command is made by the function of its name, which checks its arguments. A text is always literal:
only a `Ref` is expanded by iPXE, and only `then`, `otherwise` and `ignored` join commands. What a
user typed can therefore never become a command, a label, an expansion or an option.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bootstrap_server.errors import TemplateError

_LITERAL = re.compile(r"[!-#%-\[\]-z|~]+")  # printable ASCII without blank $ { } and backslash
_OPERATORS = frozenset(["||", "&&", ";"])
_NAME = re.compile(r"[A-Za-z0-9_]+")
_NUMBER = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a setting. A name may be made of others' values: `Ref(INDEX, "/mac")`."""

    parts: tuple["Part", ...]

    def __init__(self, *parts: "Part") -> None:
        object.__setattr__(self, "parts", parts)

    def __str__(self) -> str:
        return "${" + "".join(map(render_part, self.parts)) + "}"


Part = str | Ref
Word = Part | tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """One command, and what follows it on its line: an operator and the next command."""

    words: tuple[str, ...]
    following: tuple[tuple[str, "Command | None"], ...] = ()

    def then(self, command: "Command") -> "Command":
        """Return this line with a command that runs if all went well so far."""
        return Command(self.words, (*self.following, ("&&", command)))

    def otherwise(self, command: "Command") -> "Command":
        """Return this line with a command that runs if what is before it failed."""
        return Command(self.words, (*self.following, ("||", command)))

    def ignored(self) -> "Command":
        """Return this line so that its failure does not end the script."""
        return Command(self.words, (*self.following, ("||", None)))

    def __str__(self) -> str:
        rest = (f" {operator} {command or ''}".rstrip() for operator, command in self.following)
        return " ".join(self.words) + "".join(rest)


@dataclass(frozen=True, slots=True)
class Label:
    """A place that `goto` goes to."""

    name: str

    def __str__(self) -> str:
        return f":{self.name}"


@dataclass(frozen=True, slots=True)
class Comment:
    """A line for those who read the script; empty, it sets parts of it apart."""

    text: str = ""

    def __str__(self) -> str:
        return f"# {self.text}" if self.text else ""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that were rendered once, for many scripts."""

    text: str
    labels: tuple[str, ...]
    targets: frozenset[str]

    def __str__(self) -> str:
        return self.text


Line = Command | Label | Comment | Block
BLANK = Comment()


def block(lines: Iterable[Line]) -> Block:
    """Render lines. Raises `TemplateError` for one that does not end where it should."""
    texts: list[str] = []
    labels: list[str] = []
    targets: set[str] = set()
    for line in lines:
        text = str(line)
        if isinstance(line, Block):
            labels += line.labels
            targets |= line.targets
        else:
            if "\n" in text or text.endswith("\\"):
                raise TemplateError("a line of the script does not end where it should")
            text += "\n"
            if isinstance(line, Label):
                labels.append(line.name)
            elif isinstance(line, Command):
                targets.update(targets_of(line))
        texts.append(text)
    return Block("".join(texts), tuple(labels), frozenset(targets))


def render(lines: Iterable[Line]) -> str:
    """Return a script. Raises `TemplateError` unless each label is there once, and each target."""
    whole = block(lines)
    labels = set(whole.labels)
    if len(labels) < len(whole.labels) or not whole.targets <= labels:
        raise TemplateError("the script's labels do not match")
    return f"#!ipxe\n{whole.text}"


def targets_of(line: Command) -> Iterator[str]:
    """Yield the labels that a line goes to, but for those that iPXE makes up as it runs."""
    for one in (line, *(command for _, command in line.following if command)):
        if one.words[0] == "goto" and "$" not in one.words[1]:
            yield one.words[1]


def render_part(part: Part) -> str:
    """Return a part of a word. Raises `TemplateError` for a text that is not literal to iPXE."""
    if isinstance(part, Ref):
        return str(part)
    if not _LITERAL.fullmatch(part):
        raise TemplateError(f"{part!a} can't be part of a script")
    return part


def render_word(word: Word) -> str:
    """Return an argument, which is never an operator, a comment or an option."""
    text = "".join(map(render_part, word)) if isinstance(word, tuple) else render_part(word)
    if text in _OPERATORS or text.startswith(("#", "-")):
        raise TemplateError(f"{text!a} can't be an argument in a script")
    return text


def command(name: str, *words: Word, options: Sequence[str] = ()) -> Command:
    """Return a command with options that this module wrote, and arguments."""
    return Command((name, *options, *map(render_word, words)))


def label(name: str) -> Label:
    """Return a label."""
    if not _NAME.fullmatch(name):
        raise TemplateError(f"{name!a} can't be a label")
    return Label(name)


def goto(*name: Part) -> Command:
    """Go to a label."""
    return command("goto", name)


def echo(*words: Word) -> Command:
    """Print words with a blank between them; a text may be several words."""
    found: list[Word] = []
    for word in words:
        found += [part for part in word.split(" ") if part] if isinstance(word, str) else [word]
    return command("echo", *found)


def set_(name: Word, *value: Word) -> Command:
    """Give a setting a value; several words have a blank between them."""
    return command("set", name, *value)


def set_number(name: str, value: int) -> Command:
    """Give a setting a number that `inc` can count on."""
    return command("set", f"{name}:int32", number(value))


def number(value: int) -> str:
    """Return a number in digits."""
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise TemplateError(f"{value} can't be a number in a script")
    return text


def inc(name: str, *by: Ref) -> Command:
    """Add one, or a value, to a setting."""
    return command("inc", name, *by)


def isset(value: Ref) -> Command:
    """Succeed if a value is not empty."""
    return command("isset", value)


def iseq(value: Ref, other: Word) -> Command:
    """Succeed if two values are the same text."""
    return command("iseq", value, other)


def ifconf(card: Word, configurator: str) -> Command:
    """Configure a card. iPXE of 2019 has no time-out here, but each configurator has its own."""
    return command("ifconf", card, options=("--configurator", configurator))


def iflinkwait(card: Word, timeout_ms: int) -> Command:
    """Wait until a card has a link."""
    return command("iflinkwait", card, options=("--timeout", number(timeout_ms)))


def vcreate(card: Word, tag: int) -> Command:
    """Make a card of a VLAN on `card`; its name is that of `card`, "-" and the tag."""
    return command("vcreate", card, options=("--tag", number(tag)))


def chain(url: Word, timeout_ms: int) -> Command:
    """Run another script, and go on here when it ends. A download without progress times out."""
    return command("chain", url, options=("--autofree", "--timeout", number(timeout_ms)))


def kernel(name: str, url: Word, timeout_ms: int, arguments: Sequence[Word]) -> Command:
    """Fetch a kernel, whose command line is `arguments`."""
    return command("kernel", url, *arguments, options=image_options(name, timeout_ms))


def initrd(name: str, url: Word, timeout_ms: int) -> Command:
    """Fetch an initramfs."""
    return command("initrd", url, options=image_options(name, timeout_ms))


def imgfetch(name: str, url: Word, timeout_ms: int) -> Command:
    """Fetch a file, and do nothing with it."""
    return command("imgfetch", url, options=image_options(name, timeout_ms))


def image_options(name: str, timeout_ms: int) -> tuple[str, ...]:
    """Return the options of a download."""
    return ("--name", render_word(name), "--timeout", number(timeout_ms))
