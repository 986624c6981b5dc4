"""The iPXE script of an image that belongs to nobody: the server knows what the machine is."""

from bootstrap_server.script.cards import ROUNDS
from bootstrap_server.script.compose import REBOOT_PAUSE_S
from bootstrap_server.script.download import STALL_MS
from bootstrap_server.script.site import Site
from common.bootcodes import CODES

_SCRIPT = """\
#!ipxe
# Zero-OS provisioning script
console ||
echo Zero-OS: asking {public_url} what this machine is
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
set code ZB21
set why {ZB21}
set node {public_url}/provision/${{net${{index}}/mac}}
chain --autofree --timeout {stall_ms} ${{node}}?uuid=${{uuid}}&serial=${{serial:uristring}} ||

:next_card
ifclose net${{index}} ||
inc index
goto card

:round_over
iseq ${{round}} {rounds} && goto failed ||
echo Zero-OS: no answer; next round in ${{wait}} s
sleep ${{wait}} ||
inc wait ${{wait}}
goto round

:no_card
set code ZB11
set why {ZB11}

:failed
echo
echo Zero-OS: cannot boot (${{code}}): ${{why}}
echo Zero-OS: rebooting in {reboot_pause_s} s
sleep {reboot_pause_s} ||
reboot
"""


def render_provision(site: Site) -> str:
    """Return the script that asks the server for the script of this machine."""
    return _SCRIPT.format(
        public_url=site.public_url,
        rounds=ROUNDS,
        stall_ms=STALL_MS,
        reboot_pause_s=REBOOT_PAUSE_S,
        **{name: code.wrong for name, code in CODES.items()},
    )
