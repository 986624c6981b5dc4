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

SLOT_BYTES = 8192  # of a template image; a script is padded to it with newlines
COMMAND_LINE_MAX_BYTES = 2047  # COMMAND_LINE_SIZE of x86 Linux, less its NUL

ROUNDS = 4
TRIES = 3
STALL_MS = 30_000
REBOOT_PAUSE_S = 60

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
set why no network card got an address by DHCP
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
set why the kernel could not be started (enough memory? Secure Boot off?)
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
set why iPXE found no network card that it can drive
goto failed

:too_old
set why this iPXE is too old (${{version}}): chain to a newer one, or boot the image
goto failed

:failed
echo
echo Zero-OS: cannot boot: ${{why}}
echo Zero-OS: rebooting in {reboot_pause_s} s
sleep {reboot_pause_s} ||
reboot
"""

# Checking a certificate needs the right time. Debian's iPXE has no ntp command, others have it.
_CLOCK = "ntp pool.ntp.org ||\n"


def command_line(boot: Options, hub_url: str) -> str:
    """Return the kernel command line of `boot`: our parameters first, then the farmer's."""
    words = [f"runmode={boot.run_mode}"]
    if boot.farm is not None:
        words.append(f"farmer_id={boot.farm}")
    words += [f"hub={hub_url}", "console=tty0", "console=ttyS0,115200n8", "panic=60", "nomodeset"]
    return " ".join([*words, *boot.parameters])


def render_script(boot: Options, public_url: str, hub_url: str) -> str:
    """Return the iPXE script of `boot`. The URLs come from `Settings`, so they are checked."""
    arguments = command_line(boot, hub_url)
    if len(arguments) > COMMAND_LINE_MAX_BYTES:
        raise TemplateError("the kernel command line is longer than the kernel accepts")
    return _SCRIPT.format(
        run_mode=boot.run_mode,
        farm="no farm" if boot.farm is None else f"farm {boot.farm}",
        parameters=" ".join(boot.parameters) or "none",
        public_url=public_url,
        clock=_CLOCK if public_url.startswith("https:") else "",
        command_line=arguments,
        rounds=ROUNDS,
        tries=TRIES,
        stall_ms=STALL_MS,
        reboot_pause_s=REBOOT_PAUSE_S,
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
