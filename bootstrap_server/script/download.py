"""The part of a script that fetches kernel and initramfs, and finds out why that failed."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from bootstrap_server.options.model import Options
from bootstrap_server.script.bootlog import report, report_failure
from bootstrap_server.script.commands import (
    BLANK,
    Block,
    Command,
    Line,
    Ref,
    Word,
    block,
    chain,
    command,
    echo,
    goto,
    inc,
    initrd,
    iseq,
    isset,
    kernel,
    label,
    set_,
    set_number,
)
from bootstrap_server.script.names import (
    BASE,
    CODE,
    ERROR,
    GATEWAY,
    GATEWAY6,
    INITRAMFS,
    INITRD,
    KERNEL,
    LAST_ERROR,
    PARAMETERS,
    TRY,
    WHOLE,
)
from bootstrap_server.script.site import Site

TRIES = 3
STALL_MS = 30_000
KEPT = 32  # blocks of each kind that are rendered once
AT = Ref("at")
# Under UEFI, iPXE before 2020 hands an initramfs over only as a file that the kernel asks for by
# name. Where iPXE offers it by LoadFile2 as well, the kernel takes that and never reads the word.
# A kernel with its initramfs inside gets no word: one that names no file ends its start.
INITRD_WORD = f"initrd={INITRAMFS}"

# What iPXE's own errors say of a download, whatever stage it was in: six digits of an error, and
# the last two, which are those of BIOS or UEFI.
_MISSING, _REFUSED, _BROKEN = ("3b", "8e"), ("3c", "8f"), ("39", "98")
ERRORS: Mapping[str, Sequence[tuple[str, Sequence[str]]]] = {
    # no such name; no name server; one that does not answer
    "ZB13": [("3e1161", _MISSING), ("3e1162", _MISSING), ("4c1160", ("35", "92"))],
    "ZB14": [("280a60", ("11", "90"))],  # no route
    "ZB23": [(f"0216e{digit}", _REFUSED) for digit in "1234569ab"],  # of a certificate
    "ZB24": [("2d0c61", _MISSING)],  # 404
    "ZB25": [("020c61", _REFUSED), ("1d0c64", _BROKEN), ("1d0c65", _BROKEN)],  # 401 to 599
    "ZB31": [("1d0c62", _BROKEN), ("2e0080", ("01", "81"))],  # cut short; no kernel
}


def tell_errors() -> Iterator[Line]:
    """Yield the places that an error of iPXE's leads to."""
    for code, errors in ERRORS.items():
        yield from (label(f"error_{start}{end}") for start, ends in errors for end in ends)
        yield from (set_("code", code), goto("mirror"))


def find_bases(options: Options, site: Site) -> list[str]:
    """Return the servers to fetch from, in the order in which to try them."""
    return list(dict.fromkeys([*options.mirrors, site.public_url, *site.mirrors]))


def fetch(
    options: Options, site: Site, bases: Sequence[str], arguments: Sequence[str]
) -> list[Line]:
    """Fetch kernel and initramfs from one server after the other, in tries with pauses."""
    path = f"/{options.release}/release.ipxe" if options.release else "/release.ipxe"
    return [
        choose_server(path, is_one=len(bases) == 1),
        kernel(KERNEL, (AT, "/vmlinuz"), STALL_MS, [INITRD, *arguments, PARAMETERS]).otherwise(
            goto("fetch_failed")
        ),
        *report(options, site, "kernel"),
        FETCH_INITRAMFS,
        *report(options, site, "initramfs"),
    ]


@lru_cache(KEPT)
def choose_server(path: str, *, is_one: bool) -> Block:
    """Go to the next server, and ask it which release there is."""
    place: tuple[Word, ...] = () if is_one else ("from", BASE)
    told = ("Zero-OS: fetching kernel and initramfs (try", TRY, f"of {TRIES})", *place)
    lines: list[Line] = [
        BLANK,
        label("try"),
        inc("try"),
        set_("code", "ZB21"),  # of all servers; one that answered has more to say
        set_number("mirror", 0),
        BLANK,
        label("mirror"),
        inc("mirror"),
        set_("next", Ref("base", Ref("mirror"))),
        isset(Ref("next")).otherwise(goto("try_over")),
        set_("base", Ref("next")),
        echo(*told),
        command("clear", "release_parameters").ignored(),
        command("clear", "whole").ignored(),
        command("clear", "initrd").ignored(),
        chain((BASE, path), STALL_MS).otherwise(goto("fetch_failed")),
        isset(WHOLE).otherwise(set_("initrd", INITRD_WORD)),
        set_("code", "ZB22"),
        set_("at", (BASE, "/", Ref("release"))),
    ]
    return block(lines)


FETCH_INITRAMFS = block(
    [
        isset(WHOLE).then(goto("start")).ignored(),
        initrd(INITRAMFS, (AT, "/initramfs.zst"), STALL_MS).then(goto("start")).ignored(),
        set_("error", LAST_ERROR),
        command("imgfree", KERNEL).ignored(),
        goto("diagnose"),
        BLANK,
        label("start"),
    ]
)


def diagnose(options: Options, site: Site, bases: Sequence[str]) -> list[Line]:
    """Find out why a download failed, then go on with the next server or the next try."""
    return [
        find_code(has_name=any(map(is_name, bases))),
        *report_failure(options, site),
        TRY_AGAIN,
    ]


@lru_cache(KEPT)
def find_code(*, has_name: bool) -> Block:
    """Set the code of a download that failed; go on below if that was the last try."""
    lines: list[Line] = [
        BLANK,
        label("fetch_failed"),
        set_("error", LAST_ERROR),
        BLANK,
        label("diagnose"),
        iseq(CODE, "ZB22").then(goto("known_error")).ignored(),
        isset_any(GATEWAY, GATEWAY6).otherwise(set_("code", "ZB14")),
        *([isset_any(Ref("dns"), Ref("dns6")).otherwise(set_("code", "ZB13"))] if has_name else []),
        BLANK,
        label("known_error"),
        goto("error_", ERROR).otherwise(goto("mirror")),
    ]
    lines += [
        *tell_errors(),
        BLANK,
        label("try_over"),
        iseq(TRY, str(TRIES)).otherwise(goto("try_again")),
    ]
    return block(lines)


TRY_AGAIN = block(
    [
        goto("next_card"),
        BLANK,
        label("try_again"),
        echo("Zero-OS: fetching failed; again in", Ref("pause"), "s"),
        command("sleep", Ref("pause")).ignored(),
        inc("pause", Ref("pause")),
        goto("try"),
    ]
)


def isset_any(first: Ref, second: Ref) -> Command:
    """Succeed if one of two values is not empty."""
    return command("isset", (first, second))


@lru_cache(KEPT)
def is_name(url: str) -> bool:
    """Return whether a URL's host is a name that must be resolved."""
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return True
    return False
