"""Options of boot images as users give them: valid, wrong and hostile ones, in every form."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import parse_qsl, quote, urlencode

from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import (
    FIELDS,
    parse_address,
    parse_json,
    parse_mapping,
    parse_pairs,
    parse_toml,
    split_path,
)

MIRRORS = ("http://mirror.example", "https://another.example/zos")
VALID: Mapping[str, Sequence[str]] = {
    "runmode": ["dev", "qa", "test", "prod"],
    "farm": ["1", "42", "4711", "4294967295"],
    "extra": ["zos-debug", "vlan:pub=none", "relay=wss://a.b/c", "x=a/b", "loglevel=4 x=1", "a+b"],
    "kernel": ["0.1.0", "zos-v3.efi", "1.0.0+git.2"],
    "interface": ["52:54:00:12:34:56", "52-54-00-AB-CD-EF"],
    "address": ["10.0.0.5/24", "192.168.1.77/16", "2001:DB8::5/64"],
    "gateway": ["10.0.0.1", "192.168.0.1", "2001:db8::1", "fe80::1"],
    "dns": ["9.9.9.9", "10.0.0.1,2001:db8::53", "1.1.1.1 8.8.8.8"],
    "vlan": ["1", "10", "4094"],
    "ipv6": ["auto", "off"],
    "proxy": ["http://10.0.0.9:3128", "http://proxy.example:80"],
    "mirror": [*MIRRORS, " ".join(MIRRORS)],
    "console": ["ttyS1,115200n8", "tty1", "ttyS0,9600 tty0"],
    "farm_key": [
        "yM9wHzCtEdPuh33O0Nd0qy2pFZiUKWiHuEOaY8mqBlU",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "-_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz8",
    ],
}
POISON = [
    *["\n", "\r", "\r\n", "\0", "\t", "\v", "\x1b[2J", "\x85", "\u2028", "\ufeff", " ", "  "],
    *["&&", " || ", ";", " ; ", "#", " #", "\\", "\\\n", "${", "}", "${net0/mac}", "${why}", "$"],
    *["%0A", "%250A", "%00", "%", "___", "____", "..", "../", "/", "//", "?", "&", "'", '"'],
    *["<script>", "{0}", "{{7*7}}", "%s", "-", "--", " -n", "--name x", ":", "@", ":failed", "="],
    *["\nchain http://evil.example", "shell", "goto failed", "init=/bin/sh", "runmode=prod"],
    *["net.address=1.2.3.4/5", "enrol=x", "vlan:priv=3", "vlan:priv=9999", "console=\u0661"],
    *["\u0663", "\uff11", "é", "\U0001f600", "\xb2", "\udcff", "A" * 300, "9" * 400, "0x1", "1e9"],
    *["::", "1.2.3.4", "/0", "/33", "%eth0", "[::1]", "http://evil.example", "@evil", "0", "-1"],
]
_CHOSEN = list(FIELDS)[1:]
_SPOILT = (0, *[1] * 20, *[2] * 9)  # how many fields of a case
FORMS = ("path", "query", "form", "mapping", "json", "toml")


def give(form: str, texts: Mapping[str, str]) -> Callable[[], Options]:
    """Return a function that parses options, each a text, in one of `FORMS`."""
    if form == "path":
        names = ("runmode", "farm", "extra", "kernel")
        parts = [texts.get(name, "") for name in names]
        while parts and not parts[-1]:
            parts.pop()
        raw = "/".join(quote(part.replace("/", "___"), safe="", errors="replace") for part in parts)
        rest = [(name, text) for name, text in texts.items() if name not in names]
        return lambda: parse_address(split_path(raw.encode()), rest)
    if form == "query":
        query = urlencode({k: v for k, v in texts.items() if k != "runmode"}, errors="replace")
        pairs = parse_qsl(query)
        return lambda: parse_address([texts.get("runmode", "")], pairs)
    if form == "form":
        return lambda: parse_pairs(texts.items())
    if form == "mapping":
        return lambda: parse_mapping(texts)
    if form == "json":
        data = json.dumps(texts)
        return lambda: parse_json(data)
    toml = "".join(f"{json.dumps(k)} = {json.dumps(v)}\n" for k, v in texts.items())
    return lambda: parse_toml(toml)


def spoil(rng: random.Random, text: str) -> str:
    """Return a text with poison in it, or poison alone."""
    poison = "".join(rng.choices(POISON, k=rng.randint(1, 2)))
    at = rng.randint(0, len(text))
    return poison if rng.random() < 0.2 else text[:at] + poison + text[at:]


def make_texts(rng: random.Random) -> dict[str, str]:
    """Return a few fields with valid texts, and nearly always one or two that are spoilt."""
    names = ["runmode", *rng.sample(_CHOSEN, k=rng.choice((1, 1, 2, 3)))]
    texts = {name: rng.choice(VALID[name]) for name in names}
    for name in rng.sample(names, k=rng.choice(_SPOILT)):
        texts[name] = spoil(rng, texts[name])
    return texts
