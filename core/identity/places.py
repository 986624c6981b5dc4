"""Where the identity daemon has things; apart, since what prepares them should start quickly."""

from pathlib import Path

from core.places import RUN, socket_of

NAME = "identity"
HOME = socket_of(NAME).parent
DISK = HOME / "disk"  # its folder on the farmer's disk, mounted there if there is one
SEED = "seed"

DEVICE = Path("/dev/tpmrm0")  # the kernel's resource manager flushes what a process leaves
MEASURED = RUN / "measured"
SIGNATURES, PUBLIC_KEY, EVENT_LOG = "signatures.json", "key.pem", "event-log"
