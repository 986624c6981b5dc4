"""DHCPv6, with an address and without one, and what routers advertise beside addresses."""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.needs import need_tool
from tests.helpers.node.lab import QUICK, Lab, open_lab
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(240)
NET = "2001:db8:9:"
HOST = f"{NET}:1/64"
SERVERS = "--dhcp-option=option6:dns-server,[2001:db8::53]"
SEARCH = "--dhcp-option=option6:domain-search,lab.example"
RADVD = """
interface {link} {{
  AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; {options}
  prefix {net}:/64 {{ AdvAutonomous {autonomous}; }};
}};
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Return two namespaces with a cable between them, whose host has an IPv6 address."""
    with open_lab(tmp_path) as lab:
        lab.ip(lab.host, "addr", "add", HOST, "dev", "peer", "nodad")
        yield lab


def start_radvd(
    lab: Lab, options: str = "", autonomous: str = "on", link: str = "peer", net: str = NET
) -> subprocess.Popen[bytes]:
    """Start a router that advertises itself."""
    radvd = need_tool("radvd")
    place = lab.folder / f"{link}.conf"
    place.write_text(RADVD.format(options=options, net=net, autonomous=autonomous, link=link))
    words = ("--nodaemon", "--logmethod=stderr", f"--pidfile={lab.folder / link}.pid")
    return lab.start(lab.host, "radvd.log", radvd, *words, f"--config={place}")


def start_kea(lab: Lab, valid_s: int) -> None:
    """Start a DHCPv6 server with one address."""
    pool = {"pool": f"{NET}:77 - {NET}:77"}
    times = {"valid-lifetime": valid_s, "preferred-lifetime": valid_s}
    config = {
        "interfaces-config": {  # until the cable is in at the other end
            "interfaces": ["peer"],
            "service-sockets-max-retries": 100,
            "service-sockets-retry-wait-time": 200,
        },
        "lease-database": {"type": "memfile", "persist": False},
        "subnet6": [
            {"id": 1, "subnet": f"{NET}:/64", "interface": "peer", "pools": [pool], **times}
        ],
        "server-id": {"type": "LL", "persist": False},
        "option-data": [
            {"name": "dns-servers", "data": "2001:db8::53"},
            {"name": "domain-search", "data": "lab.example"},
        ],
        "loggers": [
            {"name": "kea-dhcp6", "severity": "DEBUG", "output_options": [{"output": "stdout"}]}
        ],
    }
    place = lab.folder / "kea.json"
    place.write_text(json.dumps({"Dhcp6": config}))
    env = shutil.which("env") or "env"
    folders = (f"KEA_PIDFILE_DIR={lab.folder}", f"KEA_LOCKFILE_DIR={lab.folder}")
    lab.start(lab.host, "kea.log", env, *folders, need_tool("kea-dhcp6"), "-c", str(place))


def test_an_address_by_dhcpv6_from_dnsmasq(lab: Lab) -> None:
    """The router says that addresses come by DHCPv6 only."""
    lab.start_dnsmasq(
        "peer",
        *("--enable-ra", f"--dhcp-range={NET}:77,{NET}:77,64,10m", SERVERS, SEARCH),
    )
    node = lab.start_node(QUICK)
    wait_until(lambda: f"up: wire0: {NET}:77/128" in lab.said(), "an address")
    assert lab.addresses(version="-6") == [f"{NET}:77/128"]
    assert lab.routes("-6")["default"].startswith("fe80::")
    text = lab.resolv_conf.read_text()
    assert "nameserver 2001:db8::53" in text and "search lab.example" in text
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    log = lab.folder / "dnsmasq.log"
    wait_until(lambda: "DHCPRELEASE" in log.read_text(), "a release")
    assert lab.addresses(version="-6") == []


def test_an_address_by_dhcpv6_from_kea_is_extended(lab: Lab) -> None:
    start_radvd(lab, "AdvManagedFlag on;", autonomous="off")
    start_kea(lab, 8)
    lab.start_node(QUICK)
    wait_until(lambda: f"up: wire0: {NET}:77/128" in lab.said(), "an address")
    log = lab.folder / "kea.log"
    wait_until(lambda: log.read_text().count("DHCP6_LEASE_RENEW") >= 2, "two extensions")
    assert lab.said().count("up: ") == 1
    assert "again in" not in lab.said()
    assert "search lab.example" in lab.resolv_conf.read_text()
    (link,) = lab.status()["links"]
    assert [lease["source"] for lease in link["leases"]] == ["dhcp6"]


def test_what_is_beside_an_address_by_dhcpv6(lab: Lab) -> None:
    lab.start_dnsmasq(
        "peer",
        *("--enable-ra", f"--dhcp-range={NET}:,ra-stateless,64,10m", SERVERS, SEARCH),
    )
    lab.start_node(QUICK)
    wait_until(lambda: "search lab.example" in read(lab.resolv_conf), "what DHCPv6 tells")
    assert "nameserver 2001:db8::53" in read(lab.resolv_conf)
    (address,) = lab.addresses(version="-6")
    assert address.endswith("/64")


def test_the_mtu_and_the_name_servers_of_a_router(lab: Lab) -> None:
    start_radvd(lab, "AdvLinkMTU 1400; RDNSS 2001:db8::53 {};")
    lab.start_node(QUICK)
    wait_until(lambda: "dns 2001:db8::53, mtu 1400" in lab.said(), "an address")
    path = "/proc/sys/net/ipv6/conf/wire0/mtu"
    assert lab.run(lab.node, "cat", path).strip() == "1400"


def test_the_mtu_of_the_command_line_wins(lab: Lab) -> None:
    lab.serve(options={"1": "ffffff00", "3": "0a090001", "6": "0a090001", "26": "0578"})
    lab.start_node(words="net.mtu=1300")
    wait_until(lambda: "up: wire0" in lab.said(), "a lease")
    assert lab.mtu() == 1300
    assert "mtu 1300" in lab.said()


def test_a_router_that_takes_its_leave_hands_over(lab: Lab) -> None:
    """Two networks with IPv6 only: the default route follows."""
    lab.add_cable("peer1", "wire1", "10.8.0.1/24")
    lab.ip(lab.host, "addr", "add", "2001:db8:8::1/64", "dev", "peer1", "nodad")
    routers = [start_radvd(lab), start_radvd(lab, link="peer1", net="2001:db8:8:")]
    lab.start_node(QUICK)
    wait_until(lambda: best(lab) != "", "a chosen link")
    wait_until(lambda: all(link["leases"] for link in lab.status()["links"]), "two leases")
    first = best(lab)
    routers[first == "wire1"].send_signal(signal.SIGTERM)  # it says farewell
    other = {"wire0": "wire1", "wire1": "wire0"}[first]
    wait_until(lambda: best(lab) == other, "the other one takes over")
    wait_until(lambda: lab.status()["chosen"] == other, "status")


def best(lab: Lab) -> str:
    """Return the link of the node's own IPv6 default route, "" without one."""
    routes = json.loads(lab.ip(lab.node, "-6", "-json", "route", "show", "default"))
    return next((str(route["dev"]) for route in routes if route["metric"] == 100), "")


def read(path: Path) -> str:
    """Return a file's text, "" if it is not there."""
    return path.read_text() if path.exists() else ""
