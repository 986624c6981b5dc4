"""The names and numbers of resource limits on Linux (asm-generic/resource.h)."""

NAMES = (
    "cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio "
    "rttime"
)
NUMBERS = {name: number for number, name in enumerate(NAMES.split())}
