"""The iPXE script of one boot. Pure: the same options and site always give the same text."""

from collections.abc import Sequence
from functools import lru_cache

from bootstrap_server.errors import InputError, TemplateError
from bootstrap_server.options.model import Options
from bootstrap_server.script.commands import echo, render, set_
from bootstrap_server.script.compose import compose
from bootstrap_server.script.download import INITRD_WORD
from bootstrap_server.script.names import KERNEL
from bootstrap_server.script.site import Site
from common.releases.manifest import PARAMETERS_MAX_BYTES

SCRIPTS_KEPT = 128  # about 2 MB: the nodes of a farm, which boot together, have the same
SLOT_BYTES = 16384  # of a template image; a script is padded to it with newlines
# COMMAND_LINE_SIZE of x86 Linux, less its NUL, what a release may add, and what stands before all
# else: iPXE's name of the kernel (under UEFI) and the word for its initramfs.
COMMAND_LINE_MAX_BYTES = 2047 - len(f"{KERNEL} {INITRD_WORD} ") - 1 - PARAMETERS_MAX_BYTES
CONSOLES = ("tty0", "ttyS0,115200n8")


def command_line(options: Options, site: Site) -> str:
    """Return the kernel command line: our parameters first, then the farmer's.

    A node reads what concerns its network as `net.NAME`, and the VLAN as upstream's `vlan:priv`.
    """
    network = options.network
    words = [
        "version=v3",  # upstream's edition: its node asks for it
        f"runmode={options.run_mode}",
        None if options.farm is None else f"farmer_id={options.farm}",
        options.farm_key and f"farm.key={options.farm_key}",
        f"hub={site.hub_url}",
        f"bootstrap={site.public_url}",
        site.token and f"enrol={site.token}",
        site.registry_url and f"registry={site.registry_url}",
        network.interface and f"net.interface={network.interface}",
        network.address and f"net.address={network.address}",
        network.gateway and f"net.gateway={network.gateway}",
        network.dns and "net.dns=" + ",".join(network.dns),
        network.ipv6 != "off" and f"net.ipv6={network.ipv6}",
        network.proxy and f"net.proxy={network.proxy}",
        network.vlan and f"vlan:priv={network.vlan}",
        *(f"console={console}" for console in options.console or CONSOLES),
        *("panic=60", "nomodeset", *options.parameters),
    ]
    return " ".join(word for word in words if word)


@lru_cache(SCRIPTS_KEPT)
def render_script(options: Options, site: Site) -> str:
    """Return the iPXE script of `options`. Raises `InputError` if the kernel can't take them all.

    Raises `TemplateError` if the script does not fit an image.
    """
    arguments = command_line(options, site)
    if len(arguments) > COMMAND_LINE_MAX_BYTES:
        raise InputError(
            "extra",
            f"the kernel's command line would have {len(arguments)} characters, and Linux takes "
            f"{COMMAND_LINE_MAX_BYTES}",
            hint="fewer or shorter kernel parameters",
        )
    script = render(compose(options, site, arguments.split(" ")))
    fill_slot(script)
    return script


def render_release(
    identity: str, version: str, parameters: Sequence[str] = (), is_whole: bool = False
) -> str:
    """Return the script that a boot's script chains to learn which release it boots, and how."""
    more = [set_("release_parameters", *parameters)] if parameters else []
    more += [set_("whole", "yes")] if is_whole else []
    shown = echo(f"Zero-OS: release {version or identity[:12]}")
    return render([set_("release", identity), *more, shown])


def fill_slot(script: str) -> bytes:
    """Return `script` padded to exactly `SLOT_BYTES`."""
    data = script.encode("ascii")
    if len(data) > SLOT_BYTES:
        raise TemplateError(
            f"a script of {len(data)} bytes does not fit its {SLOT_BYTES}-byte slot"
        )
    return data.ljust(SLOT_BYTES, b"\n")
