"""The network links of a node, read from sysfs."""

from pathlib import Path

SYS_NET = Path("/sys/class/net")
ARPHRD_ETHER = "1"


def wired_links(sys_net: Path = SYS_NET) -> list[str]:
    """Return the names of the wired network cards: Ethernet, on a bus, not wireless."""
    return [link.name for link in sorted(sys_net.iterdir()) if is_wired(link)]


def is_wired(link: Path) -> bool:
    """Return whether `link` is a wired card, not a bridge, tunnel or radio; false if it is gone."""
    try:
        kind = (link / "type").read_text().strip()
    except OSError:
        return False
    radio = (link / "wireless").exists() or (link / "phy80211").exists()
    return kind == ARPHRD_ETHER and (link / "device").exists() and not radio


def has_carrier(name: str, sys_net: Path = SYS_NET) -> bool:
    """Return whether a cable is plugged in; always false while the link is down."""
    try:
        return (sys_net / name / "carrier").read_text().strip() == "1"
    except OSError:
        return False


def read_mtu(name: str, sys_net: Path = SYS_NET) -> int:
    """Return the link's MTU, 0 if it is gone."""
    try:
        return int((sys_net / name / "mtu").read_text())
    except (OSError, ValueError):
        return 0


def describe_link(name: str, sys_net: Path = SYS_NET) -> str:
    """Return "eth0 (virtio_net, 52:54:00:12:34:56)" for the log."""
    return f"{name} ({describe_driver(name, sys_net)}, {read_mac(name, sys_net) or '?'})"


def describe_driver(name: str, sys_net: Path = SYS_NET) -> str:
    """Return a card's driver, or "on eth0" for a link that stands on others."""
    link = sys_net / name
    try:
        return (link / "device" / "driver").resolve(strict=True).name
    except OSError:
        below = sorted(path.name.removeprefix("lower_") for path in link.glob("lower_*"))
        return f"on {', '.join(below)}" if below else "no driver"


def read_mac(name: str, sys_net: Path = SYS_NET) -> str:
    """Return the link's MAC address, "" if it is gone."""
    try:
        return (sys_net / name / "address").read_text().strip()
    except OSError:
        return ""


def read_own_mac(name: str, sys_net: Path = SYS_NET) -> str:
    """Return the MAC address that a card has of its own: in a bond, all cards show the bond's."""
    try:
        return (sys_net / name / "bonding_slave" / "perm_hwaddr").read_text().strip()
    except OSError:
        return read_mac(name, sys_net)
