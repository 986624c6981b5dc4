"""Closes the kernel once the node is up: no further modules, no other kernel, no SysRq keys.

The release decides (`lockdown` of its profile): it then has the file `MARK`, and `KEXEC_MARK` if
other kernels may be loaded all the same (`kexec`). The kernel's command line can't reopen anything:
what it sets is set again here and read back, and two of the three switches can't be turned back
while the machine runs.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from node.log import log as write_log
from node.model import NodeError

MARK = Path("/etc/zero-os/lockdown")
KEXEC_MARK = Path("/etc/zero-os/kexec")
KEXEC = "kexec_load_disabled"
SYSCTL = Path("/proc/sys/kernel")
# Written in this order, and what each must show afterwards.
EARLY = {KEXEC: "1", "sysrq": "0"}
LATE = {"modules_disabled": "1"}
MODPROBE = "/usr/sbin/modprobe"
LOAD_DEADLINE_S = 120.0

# What workloads ask the kernel for while they run; a release may lack some. PID 1 has loaded the
# drivers of devices that are there; those of common USB devices may be plugged in later.
MODULES = (
    # networks of containers and of virtual machines
    "8021q", "bonding", "br_netfilter", "bridge", "dummy", "geneve", "ifb", "ip6_tunnel", "ip_gre",
    "ipip", "ipvlan", "macvlan", "macvtap", "sit", "tap", "tun", "veth", "vrf", "vxlan",
    "wireguard", "inet_diag", "tcp_bbr", "tcp_diag", "udp_diag", "unix_diag", "af_packet_diag",
    # packet filters
    "nf_conntrack_netlink", "nf_conntrack_ftp", "nf_conntrack_tftp", "nf_log_syslog",
    "nf_nat_ftp", "nf_nat_tftp", "nf_tables", "nfnetlink_log", "nfnetlink_queue", "nft_chain_nat",
    "nft_compat", "nft_connlimit", "nft_ct", "nft_dup_ipv4", "nft_dup_ipv6", "nft_dup_netdev",
    "nft_fib_inet", "nft_fib_netdev", "nft_flow_offload", "nft_fwd_netdev", "nft_hash",
    "nft_limit", "nft_log", "nft_masq", "nft_nat", "nft_numgen", "nft_queue", "nft_quota",
    "nft_redir", "nft_reject_bridge", "nft_reject_inet", "nft_reject_netdev", "nft_meta_bridge",
    "nft_socket", "nft_tproxy", "nft_tunnel", "nf_flow_table_inet", "nf_conntrack_bridge",
    "ip_tables", "iptable_filter", "iptable_mangle", "iptable_nat", "iptable_raw", "ip6_tables",
    "ip6table_filter", "ip6table_mangle", "ip6table_nat", "ip6table_raw", "ipt_REJECT",
    "ip6t_REJECT", "xt_addrtype", "xt_comment", "xt_conntrack", "xt_MASQUERADE", "xt_REDIRECT",
    "xt_CHECKSUM", "xt_LOG", "xt_mark", "xt_connmark", "xt_multiport", "xt_nat", "xt_physdev",
    "xt_set", "xt_state", "xt_statistic", "xt_tcpudp", "xt_TCPMSS", "xt_TPROXY",
    # traffic shaping
    "act_bpf", "act_gact", "act_mirred", "act_police", "cls_bpf", "cls_flower", "cls_fw",
    "cls_matchall", "cls_u32", "sch_fq", "sch_fq_codel", "sch_htb", "sch_ingress", "sch_tbf",
    # file systems and disks
    "9p", "binfmt_misc", "btrfs", "erofs", "ext4", "fuse", "isofs", "nls_ascii", "nls_cp437",
    "nls_iso8859-1", "nls_utf8", "overlay", "squashfs", "vfat", "dm_crypt", "dm_integrity",
    "dm_mod", "dm_snapshot", "dm_thin_pool", "dm_verity", "loop", "nbd", "raid0", "raid1",
    "raid10", "raid456", "sd_mod", "sg", "zram",
    # virtual machines
    "vfio_pci", "vhost_net", "vhost_vsock", "vsock_loopback",
    # by name through the crypto API
    "af_alg", "algif_aead", "algif_hash", "algif_rng", "algif_skcipher", "authenc",
    "blake2b_generic", "ccm", "chacha20poly1305", "cmac", "crc32c_generic", "cryptd", "ctr", "cts",
    "essiv", "gcm", "seqiv", "xts", "xxhash_generic",
    # plugged in later
    "cdc_ether", "hid_generic", "r8152", "ax88179_178a", "uas", "usb_storage", "usbhid",
)  # fmt: skip

log = partial(write_log, "lockdown")


def close_early(mark: Path = MARK, folder: Path = SYSCTL, kexec_mark: Path = KEXEC_MARK) -> None:
    """Close what no bring-up needs, before anything comes from the network."""
    if mark.exists():
        is_open = kexec_mark.exists()
        close({name: EARLY[name] for name in EARLY if name != KEXEC or not is_open}, folder)


def close_modules(mark: Path = MARK, folder: Path = SYSCTL) -> None:
    """Load `MODULES`, then let the kernel load no more until the next boot; once is enough."""
    if not mark.exists() or is_closed(LATE, folder):
        return
    load(MODULES)
    close(LATE, folder)
    others = " and no other kernel" if is_closed({KEXEC: EARLY[KEXEC]}, folder) else ""
    log(f"the kernel takes no more modules{others}; SysRq keys are off")


def load(names: Sequence[str]) -> None:
    """Load kernel modules; those that the release does not have are left out."""
    from common.run import CommandError, run

    try:
        run([MODPROBE, "-a", "-b", "-q", *names], timeout_s=LOAD_DEADLINE_S, good=(0, 1))
    except CommandError as error:
        log(f"cannot load the modules of workloads: {error}")


def is_closed(switches: Mapping[str, str], folder: Path = SYSCTL) -> bool:
    """Return whether all switches are set; one that can't be read is not."""
    try:
        return all((folder / name).read_text().strip() == switches[name] for name in switches)
    except OSError:
        return False


def close(switches: Mapping[str, str], folder: Path) -> None:
    """Set each switch unless it is set, and read it back; raise `NodeError` if that fails."""
    for name, value in switches.items():
        path = folder / name
        try:
            if not is_closed({name: value}, folder):
                path.write_text(value)
            found = path.read_text().strip()
        except OSError as error:
            raise NodeError(f"cannot close kernel.{name}: {error.strerror}") from error
        if found != value:
            raise NodeError(
                f"cannot close kernel.{name}: it stays {found}",
                hint="remove what opens it from the kernel's command line (sysrq_always_enabled)",
            )
