"""The iPXE script of an image that belongs to nobody: the server knows what the machine is."""

from bootstrap_server.options.network import Network
from bootstrap_server.script.cards import configure, next_card, take_a_card, tell_address
from bootstrap_server.script.commands import (
    Comment,
    Line,
    Ref,
    chain,
    command,
    echo,
    goto,
    isset,
    render,
    set_,
    set_number,
)
from bootstrap_server.script.compose import GIVE_UP
from bootstrap_server.script.download import STALL_MS
from bootstrap_server.script.names import MAC
from bootstrap_server.script.site import Site

ANY = Network()


def render_provision(site: Site) -> str:
    """Return the script that asks the server for the script of this machine.

    With each card that gets an address, it goes on as the server says, or to the next card. It
    reports no stages, since the script that it is given does.
    """
    serial = Ref("serial:uristring")
    node = (f"{site.public_url}/provision/", MAC, "?uuid=", Ref("uuid"), "&serial=", serial)
    is_checked = site.public_url.startswith("https:")
    lines: list[Line] = [
        Comment("Zero-OS provisioning script"),
        command("console").ignored(),
        command("imgfree").ignored(),
        echo(f"Zero-OS: asking {site.public_url} what this machine is"),
        set_("code", "ZB17"),
        set_number("round", 0),
        set_number("wait", 5),
        isset(Ref("net0/mac")).otherwise(goto("no_card")),
        take_a_card(ANY),
        configure(ANY),
        tell_address(ANY),
        *([command("ntp", "pool.ntp.org").ignored()] if is_checked else []),
        set_("code", "ZB21"),
        chain(node, STALL_MS).ignored(),
        next_card(ANY),
        GIVE_UP,
    ]
    return render(lines)
