"""The words of the kernel's command line, split as upstream splits them: by a shell's quotes.

Where upstream loses words, this keeps them: a quote that is not closed costs its own word only,
"#" begins no comment, and a word without "=" does not empty a list.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

SPACE = " \t\r\n"
QUOTES = "\"'"
# Upstream takes the last of these, and the first of all others.
LAST_COUNTS = frozenset({"secret", "version", "vlan:priv", "vlan:pub", "pub:mac"})
LISTS = frozenset({"substrate", "relay", "activation", "console"})
KNOWN = frozenset(
    [
        *("runmode", "farmer_id", "farm.key", "hub", "bootstrap", "registry", "enrol", "version"),
        *("net.interface", "net.address", "net.gateway", "net.dns", "net.ipv6", "net.proxy"),
        *("net.bond", "net.mtu", "vlan:priv", "vlan:pub", "pub:mac"),
        *("update.interval", "update.kexec", "update.reboot", "update.window"),
        *("zos-debug", "zos-debug-vm", "disable-gpu", "missing-ssd", "light", "ssh-user"),
        *("substrate", "relay", "activation", "secret", "domain", "flist"),
    ]
)
OURS = re.compile(r"(net\.|update\.|vlan:|pub:|zos-|farm|runmode|hub|bootstrap|registry|enrol)")
OTHERS = frozenset({"net.ifnames", "BOOT_IMAGE"})  # systemd's, and that of boot loaders
SECRET = frozenset({"enrol", "secret", "farm.key"})
SHOWN_CHARS = 80
FIRST_PROCESS = Path("/proc/1")


class Words(NamedTuple):
    """All values of each key, in their order: None where there is no "="; and the broken words."""

    values: Mapping[str, tuple[str | None, ...]]
    broken: tuple[str, ...] = ()

    def first(self, key: str) -> str:
        """Return the value that counts where upstream takes the first one, "" without one."""
        return (self.values.get(key) or ("",))[0] or ""

    def last(self, key: str) -> str:
        """Return the value that counts where upstream takes the last one, "" without one."""
        return (self.values.get(key) or ("",))[-1] or ""

    def chosen(self) -> dict[str, str]:
        """Return the value that counts of each key."""
        return {
            key: self.last(key) if key in LAST_COUNTS else self.first(key) for key in self.values
        }


def read_words(text: str) -> Words:
    """Return the words of a command line."""
    values: dict[str, tuple[str | None, ...]] = {}
    words, broken = split_words(text)
    for word in words:
        key, equals, value = word.partition("=")
        values[key] = (*values.get(key, ()), value if equals else None)
    return Words(values, tuple(broken))


def split_words(text: str) -> tuple[list[str], list[str]]:
    """Return the words without their quotes, and those whose quote or escape has no end."""
    words: list[str] = []
    broken: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in SPACE:
            at += 1
            continue
        word, end = take_word(text, at)
        if word is None:
            end = at + len(re.split(rf"[{SPACE}]", text[at:], maxsplit=1)[0])
            broken.append(text[at:end])
        else:
            words.append(word)
        at = end
    return words, broken


def take_word(text: str, at: int) -> tuple[str | None, int]:
    """Return the word at `at` without its quotes, and where it ends; None if it has no end."""
    word, quote = "", ""
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'":
            at += 1
            if at == len(text):
                return None, at
            word += text[at]
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in QUOTES:
            quote = char
        elif char in SPACE:
            break
        else:
            word += char
        at += 1
    return (None if quote else word), at


def find_ignored(words: Words, unclaimed: Iterable[str] = ()) -> list[str]:
    """Return a line for each word that nothing uses: broken, unknown, or there twice.

    `unclaimed` are names that the kernel did not know. The others that are not known here belong
    to the kernel, unless they look like a node's.
    """
    lines = [f"cannot use {show(word)}: it has no end; it is left out" for word in words.broken]
    strangers = set(unclaimed) - OTHERS
    for key, values in words.values.items():
        is_ours = OURS.match(key) and key not in OTHERS
        if key not in KNOWN and (is_ours or key in strangers):
            lines.append(f"cannot use {show(join(key, values[0]))}: a node knows no such parameter")
        elif key in KNOWN - LISTS and len(set(values)) > 1:
            chosen = words.last(key) if key in LAST_COUNTS else words.first(key)
            lines.append(f"{key} is there {len(values)} times: {show(join(key, chosen))} counts")
    return lines


def join(key: str, value: str | None) -> str:
    """Return a word as it stood."""
    return key if value is None else f"{key}={value}"


def show(word: str) -> str:
    """Return a word for a line that all may read: short, printable, without secrets."""
    key, equals, _ = word.partition("=")
    if equals and key in SECRET:
        return f"{key}=..."
    text = hide_user(word)
    text = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
    return text if text.isprintable() else ascii(text)


def hide_user(text: str) -> str:
    """Return `text` without what stands before the host of a URL: it may be a password."""
    return re.sub(r"//[^/\s]*@", "//", text)


def read_unclaimed(first_process: Path = FIRST_PROCESS) -> set[str]:
    """Return the names of the words that the kernel did not know.

    It hands them to the first process: with a value in the environment, else as arguments.
    """
    names: set[str] = set()
    for file in ("environ", "cmdline"):
        try:
            parts = (first_process / file).read_bytes().split(b"\0")
        except OSError:
            continue
        names |= {part.partition(b"=")[0].decode(errors="replace") for part in parts if part}
    return names
