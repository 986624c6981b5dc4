"""The boot script of some options, as a list of typed commands.

The script tries the network cards in rounds. With a card that gets an address, it fetches kernel
and initramfs; if that fails, it closes the card, so that a card with a lease but no route does not
block the next one. Every command that can fail has an alternative: a script that ends early would
return to the firmware silently. `--timeout` limits the time without progress, so a server that
stalls does not hang a node, and a slow line is not an error. An iPXE that chains to the script may
be old, and may have loaded images that the kernel would get: the script frees them first. Lines
that start with "Zero-OS:" are progress for the user (and for tests) on the console.

The setting `code` holds the reason to show if nothing comes of it. A card without a link does not
replace the reason of one that got further.
"""

from collections.abc import Iterator, Sequence

from bootstrap_server.options.model import Options
from bootstrap_server.script.bootlog import report, report_failure
from bootstrap_server.script.cards import (
    configure,
    next_card,
    take_a_card,
    tell_address,
    tell_network,
)
from bootstrap_server.script.commands import (
    BLANK,
    Block,
    Comment,
    Line,
    Ref,
    block,
    command,
    echo,
    goto,
    inc,
    iseq,
    isset,
    label,
    set_,
    set_number,
)
from bootstrap_server.script.download import diagnose, fetch, find_bases
from bootstrap_server.script.names import BASE, CODE, ERROR, KERNEL, LAST_ERROR, WHOLE
from bootstrap_server.script.site import Site
from common.bootcodes import CODES

REBOOT_PAUSE_S = 60

TOLD = tuple(code for code in CODES if code < "ZB40")
"""The reasons that a script tells; the others are those of the node."""


def tell_reasons() -> Iterator[Line]:
    """Yield the places that give a code its words."""
    for code in TOLD:
        more = [("(", Ref("version"), ")")] if code == "ZB10" else []
        why = set_("why", *CODES[code].wrong.split(" "), *more)
        yield from (label(f"why_{code}"), why, goto("tell"))


def compose(options: Options, site: Site, arguments: Sequence[str]) -> list[Line]:
    """Return the script that boots a node with `arguments` as the kernel's command line."""
    bases = find_bases(options, site)
    return [
        *greet(options, site, bases),
        take_a_card(options.network),
        configure(options.network),
        *after_address(options, site),
        *fetch(options, site, bases, arguments),
        *start(options, site),
        *diagnose(options, site, bases),
        next_card(options.network),
        GIVE_UP,
    ]


BEGINNING = block(
    [
        Comment("Zero-OS boot script"),
        command("console").ignored(),
        command("imgfree").ignored(),
        set_number("probe", 1).ignored(),
        inc("probe").ignored(),
        iseq(Ref("probe"), "2").otherwise(goto("too_old")),
        command("echo"),
    ]
)
BEFORE_CARDS = block(
    [
        set_number("round", 0),
        set_number("wait", 5),
        isset(Ref("net0/mac")).otherwise(goto("no_card")),
    ]
)


def greet(options: Options, site: Site, bases: Sequence[str]) -> list[Line]:
    """Prepare iPXE, turn away one that is too old, and say what is going to be booted."""
    farm = "no farm" if options.farm is None else f"farm {options.farm}"
    return [
        BEGINNING,
        echo(f"Zero-OS: run mode {options.run_mode}, {farm}"),
        echo("Zero-OS: kernel parameters:", " ".join(options.parameters) or "none"),
        *tell_network(options.network),
        echo(f"Zero-OS: bootstrap server {site.public_url}"),
        *(
            set_(f"base{place}", f"{base}/kernel/{options.run_mode}")
            for place, base in enumerate(bases, 1)
        ),
        set_("code", "ZB15" if options.network.interface else "ZB17"),
        BEFORE_CARDS,
    ]


def after_address(options: Options, site: Site) -> list[Line]:
    """Say which address it is, set the clock where certificates need it, and report."""
    lines: list[Line] = [tell_address(options.network)]
    # Checking a certificate needs the right time. Debian 13's iPXE has no ntp command.
    if any(base.startswith("https:") for base in find_bases(options, site)):
        lines.append(command("ntp", "pool.ntp.org").ignored())
    if site.has_log:
        lines += [set_("reports", "on"), *report(options, site, "script")]
    return [*lines, set_number("try", 0), set_number("pause", 2)]


def start(options: Options, site: Site) -> list[Line]:
    """Start the kernel.

    If it has its initramfs inside, it may be a UKI: that does not start where iPXE offers UEFI an
    initramfs, and iPXE offers one as long as it has any file, even if that is the kernel.
    """
    return [
        echo("Zero-OS: starting the kernel"),
        isset(WHOLE).then(goto("whole")).ignored(),
        command("boot", KERNEL).ignored(),
        set_("error", LAST_ERROR),
        goto("not_started"),
        BLANK,
        label("whole"),
        command("boot", KERNEL, options=("--autofree",)).ignored(),
        set_("error", LAST_ERROR),
        BLANK,
        label("not_started"),
        set_("code", "ZB32"),
        *report_failure(options, site),
        goto("failed"),
    ]


def give_up() -> Block:
    """Say why, and reboot."""
    lines: list[Line] = [BLANK, label("no_card"), set_("code", "ZB11"), goto("failed")]
    lines += [BLANK, label("too_old"), set_("code", "ZB10"), BLANK, label("failed")]
    lines += [command("echo"), goto("why_", CODE).ignored()]
    lines += [
        *tell_reasons(),
        BLANK,
        label("tell"),
        echo("Zero-OS: cannot boot", ("(", CODE, "):"), Ref("why")),
        isset(ERROR)
        .then(echo("Zero-OS: last error", ("https://ipxe.org/", ERROR), "from", BASE))
        .ignored(),
        echo(f"Zero-OS: rebooting in {REBOOT_PAUSE_S} s"),
        command("sleep", str(REBOOT_PAUSE_S)).ignored(),
        command("reboot"),
    ]
    return block(lines)


GIVE_UP = give_up()
