"""The iPXE script of one boot. Pure: the same boot and addresses always give the same text.

The script tries the network cards in rounds. With a card that gets an address, it fetches kernel
and initramfs; if that fails, it closes the card, so that a card with a lease but no route does not
block the next one. Every command that can fail has an alternative: a script that ends early would
return to the firmware silently. `--timeout` limits the time without progress, so a server that
stalls does not hang a node, and a slow line is not an error. An iPXE that chains to the script may
be old, and may have loaded images that the kernel would get: the script frees them first. iPXE of
2019 has no `ifconf --timeout`; its DHCP gives up by itself. Lines that start with "Zero-OS:" are
progress for the user (and for tests) on the console.
"""

from bootstrap_server.errors import TemplateError
from bootstrap_server.options.model import Options
from bootstrap_server.script.site import Site
from common.bootcodes import CODES

SLOT_BYTES = 8192  # of a template image; a script is padded to it with newlines
COMMAND_LINE_MAX_BYTES = 2047  # COMMAND_LINE_SIZE of x86 Linux, less its NUL

ROUNDS = 4
TRIES = 3
STALL_MS = 30_000
REBOOT_PAUSE_S = 60
CONSOLES = ("tty0", "ttyS0,115200n8")

_SCRIPT = """\
#!ipxe
# Zero-OS boot script
console ||
imgfree ||
set probe:int32 1 ||
inc probe ||
iseq ${{probe}} 2 || goto too_old
echo
echo Zero-OS: run mode {run_mode}, {farm}
echo Zero-OS: kernel parameters: {parameters}
echo Zero-OS: bootstrap server {public_url}
{clock}set base {public_url}/kernel/{run_mode}
set code ZB12
set why {ZB12}
set round:int32 0
set wait:int32 5
isset ${{net0/mac}} || goto no_card

:round
inc round
set index:int32 0

:card
isset ${{net${{index}}/mac}} || goto round_over
echo Zero-OS: net${{index}} ${{net${{index}}/mac}}: DHCP (round ${{round}} of {rounds})
ifconf --configurator dhcp net${{index}} || goto next_card
echo Zero-OS: net${{index}} has address ${{net${{index}}/ip}}, gateway ${{net${{index}}/gateway}}
set code ZB21
set why the kernel could not be fetched from {public_url}
set try:int32 0
set pause:int32 2

:fetch
inc try
echo Zero-OS: fetching kernel and initramfs (try ${{try}} of {tries})
chain --autofree --timeout {stall_ms} ${{base}}/release.ipxe || goto fetch_failed
set at ${{base}}/${{release}}
kernel --name vmlinuz --timeout {stall_ms} ${{at}}/vmlinuz {command_line} || goto fetch_failed
initrd --name initramfs.zst --timeout {stall_ms} ${{at}}/initramfs.zst && goto start ||
imgfree vmlinuz ||
goto fetch_failed

:start
echo Zero-OS: starting the kernel
boot vmlinuz ||
set code ZB32
set why {ZB32}
goto failed

:fetch_failed
iseq ${{try}} {tries} && goto next_card ||
echo Zero-OS: fetching failed; again in ${{pause}} s
sleep ${{pause}} ||
inc pause ${{pause}}
goto fetch

:next_card
ifclose net${{index}} ||
inc index
goto card

:round_over
iseq ${{round}} {rounds} && goto failed ||
echo Zero-OS: no card led to a kernel; next round in ${{wait}} s
sleep ${{wait}} ||
inc wait ${{wait}}
goto round

:no_card
set code ZB11
set why {ZB11}
goto failed

:too_old
set code ZB10
set why {ZB10} (${{version}}): chain to a newer one, or boot the image
goto failed

:failed
echo
echo Zero-OS: cannot boot (${{code}}): ${{why}}
echo Zero-OS: rebooting in {reboot_pause_s} s
sleep {reboot_pause_s} ||
reboot
"""

# Checking a certificate needs the right time. Debian's iPXE has no ntp command, others have it.
_CLOCK = "ntp pool.ntp.org ||\n"


def command_line(options: Options, site: Site) -> str:
    """Return the kernel command line: our parameters first, then the farmer's.

    A node reads what concerns its network as `net.NAME`, and the VLAN as upstream's `vlan:priv`.
    """
    network = options.network
    words = [
        f"runmode={options.run_mode}",
        None if options.farm is None else f"farmer_id={options.farm}",
        f"hub={site.hub_url}",
        f"bootstrap={site.public_url}",
        site.token and f"enrol={site.token}",
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


def render_script(options: Options, site: Site) -> str:
    """Return the iPXE script of `options`. Raises `TemplateError` if the kernel can't take it."""
    arguments = command_line(options, site)
    if len(arguments) > COMMAND_LINE_MAX_BYTES:
        raise TemplateError("the kernel command line is longer than the kernel accepts")
    return _SCRIPT.format(
        run_mode=options.run_mode,
        farm="no farm" if options.farm is None else f"farm {options.farm}",
        parameters=" ".join(options.parameters) or "none",
        public_url=site.public_url,
        clock=_CLOCK if site.public_url.startswith("https:") else "",
        command_line=arguments,
        rounds=ROUNDS,
        tries=TRIES,
        stall_ms=STALL_MS,
        reboot_pause_s=REBOOT_PAUSE_S,
        **{name: code.wrong for name, code in CODES.items()},
    )


def render_release(identity: str, version: str) -> str:
    """Return the script that a boot's script chains to learn the channel's release."""
    shown = version or identity[:12]
    return f"#!ipxe\nset release {identity}\necho Zero-OS: release {shown}\n"


def fill_slot(script: str) -> bytes:
    """Return `script` padded to exactly `SLOT_BYTES`."""
    data = script.encode("ascii")
    if len(data) > SLOT_BYTES:
        raise TemplateError(
            f"a script of {len(data)} bytes does not fit its {SLOT_BYTES}-byte slot"
        )
    return data.ljust(SLOT_BYTES, b"\n")
