"""Tables of what goes into a release; paths are globs, in which "*" also matches slashes."""

from common.debian.programs import LOADER
from image.model import Device

# Debian packages; their dependencies are added. The build uses single files of them.
PACKAGES = (
    "ca-certificates",
    "kmod",
    "libgcc-s1",
    "libpython3.13-stdlib",
    "linux-image-amd64",
    "python3.13-minimal",
)

# The packages that a build for another architecture runs: depmod, and the same version of Python.
TOOLS = ("kmod", "libgcc-s1", "libpython3.13-stdlib", "python3.13-minimal")

PYTHON = "usr/bin/python3.13"
STDLIB = "usr/lib/python3.13"
PROJECT = "usr/lib/zero-os"

# -- the system ------------------------------------------------------------------------------

SYSTEM_FILES = (
    LOADER,
    PYTHON,
    "usr/bin/kmod",
    "usr/sbin/modprobe",
    "usr/sbin/insmod",
    "usr/sbin/rmmod",
    "usr/sbin/lsmod",
    "usr/lib/modprobe.d/*",
)

# Loaded by name at run time, so no file lists them as needed: for thread cancellation in glibc, and
# for compressed modules in kmod.
LOADED_LIBRARIES = ("libgcc_s.so.1", "liblzma.so.5", "libzstd.so.1")

SYMLINKS = {
    "bin": "usr/bin",
    "sbin": "usr/sbin",
    "lib": "usr/lib",
    "lib64": "usr/lib64",
    "usr/lib64/ld-linux-x86-64.so.2": f"/{LOADER}",
    "usr/bin/python3": "python3.13",
    "usr/lib/ssl/cert.pem": "/etc/ssl/certs/ca-certificates.crt",
    "usr/lib/ssl/certs": "/etc/ssl/certs",
    "var/run": "../run",
    "var/lock": "../run/lock",
    "etc/mtab": "../proc/self/mounts",
}

DIRECTORIES = {
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "var/cache": 0o755,
    "var/lib": 0o755,
    "var/log": 0o755,
    "var/tmp": 0o1777,
}

# Without urandom, Python as PID 1 ends at once; without console, its output is lost.
DEVICES = {
    "dev/console": Device("c", 5, 1, 0o600),
    "dev/kmsg": Device("c", 1, 11, 0o600),
    "dev/null": Device("c", 1, 3, 0o666),
    "dev/urandom": Device("c", 1, 9, 0o666),
}

CERTIFICATES = "usr/share/ca-certificates/mozilla/*.crt"
CERTIFICATE_BUNDLE = "etc/ssl/certs/ca-certificates.crt"

# -- Python ----------------------------------------------------------------------------------

STDLIB_WITHOUT = (
    f"{STDLIB}/EXTERNALLY-MANAGED",
    f"{STDLIB}/__hello__.py",
    f"{STDLIB}/__phello__*",
    f"{STDLIB}/_aix_support.py",
    f"{STDLIB}/_android_support.py",
    f"{STDLIB}/_apple_support.py",
    f"{STDLIB}/_ios_support.py",
    f"{STDLIB}/_osx_support.py",
    f"{STDLIB}/_sysconfigdata__x86_64*",
    f"{STDLIB}/_pyrepl*",
    f"{STDLIB}/antigravity.py",
    f"{STDLIB}/bdb.py",
    f"{STDLIB}/cProfile.py",
    f"{STDLIB}/colorsys.py",
    f"{STDLIB}/config-3.13*",
    f"{STDLIB}/curses*",
    f"{STDLIB}/dbm*",
    f"{STDLIB}/doctest.py",
    f"{STDLIB}/encodings/mac_*",
    f"{STDLIB}/ensurepip*",
    f"{STDLIB}/idlelib*",
    f"{STDLIB}/imaplib.py",
    f"{STDLIB}/lib-dynload/_codecs_*",
    f"{STDLIB}/lib-dynload/_ctypes_test*",
    f"{STDLIB}/lib-dynload/_curses*",
    f"{STDLIB}/lib-dynload/_dbm*",
    f"{STDLIB}/lib-dynload/_gdbm*",
    f"{STDLIB}/lib-dynload/_lsprof*",
    f"{STDLIB}/lib-dynload/_test*",
    f"{STDLIB}/lib-dynload/_tkinter*",
    f"{STDLIB}/lib-dynload/_xxtestfuzz*",
    f"{STDLIB}/lib-dynload/readline*",
    f"{STDLIB}/lib-dynload/xx*",
    f"{STDLIB}/mailbox.py",
    f"{STDLIB}/modulefinder.py",
    f"{STDLIB}/pdb.py",
    f"{STDLIB}/pickletools.py",
    f"{STDLIB}/poplib.py",
    f"{STDLIB}/profile.py",
    f"{STDLIB}/pstats.py",
    f"{STDLIB}/pyclbr.py",
    f"{STDLIB}/pydoc.py",
    f"{STDLIB}/pydoc_data*",
    f"{STDLIB}/sitecustomize.py",
    f"{STDLIB}/smtplib.py",
    f"{STDLIB}/tabnanny.py",
    f"{STDLIB}/test*",
    f"{STDLIB}/this.py",
    f"{STDLIB}/tkinter*",
    f"{STDLIB}/trace.py",
    f"{STDLIB}/turtle*",
    f"{STDLIB}/venv*",
    f"{STDLIB}/wave.py",
    f"{STDLIB}/webbrowser.py",
    f"{STDLIB}/wsgiref*",
    f"{STDLIB}/xmlrpc*",
    f"{STDLIB}/zipapp.py",
)

# Files of wheels that no node uses; paths inside the wheel.
WHEELS_WITHOUT = (
    "*.dist-info/*",
    "*.pxd",
    "*.pyi",
    "*.pyx",
    "*/py.typed",
    "cffi/*",  # cryptography needs the compiled half only
    "psutil/tests/*",
    "pycparser/*",
    "zstandard/_cffi*",
    "zstandard/backend_cffi*",
)

# The project's own packages on a node, and the files left out of them.
NODE_PACKAGES = ("common", "flist", "node", "zero_os", "zinit")
NODE_WITHOUT = (
    "*/__pycache__/*",
    "common/debian/*",
    "common/scratch*",
    "common/sealed*",
    "flist/hub/*",
    "node/etc/*",
    "zero_os/boot/*",
    "zero_os/develop*",
    "zero_os/shell/*",
)

# -- kernel modules, below kernel/ -------------------------------------------------------------

MODULES = (
    # wired networks
    "drivers/net/bonding/*", "drivers/net/dummy*", "drivers/net/ethernet/*",
    "drivers/net/geneve*", "drivers/net/hyperv/*", "drivers/net/ifb*", "drivers/net/ipvlan/*",
    "drivers/net/macsec*", "drivers/net/macvlan*", "drivers/net/macvtap*", "drivers/net/mdio*",
    "drivers/net/mii*", "drivers/net/net_failover*", "drivers/net/pcs/*", "drivers/net/phy/*",
    "drivers/net/tap*", "drivers/net/team/*", "drivers/net/tun*", "drivers/net/usb/*",
    "drivers/net/veth*", "drivers/net/virtio_net*", "drivers/net/vmxnet3/*", "drivers/net/vrf*",
    "drivers/net/vxlan/*", "drivers/net/wireguard/*", "drivers/net/xen-netfront*",
    # networking
    "net/8021q/*", "net/802/*", "net/9p/*", "net/bridge/*", "net/core/*", "net/ipv4/*",
    "net/ipv6/*", "net/llc/*", "net/netfilter/*", "net/packet/*", "net/sched/*", "net/tls/*",
    "net/unix/*", "net/vmw_vsock/*", "net/xfrm/*",
    # storage
    "drivers/ata/*", "drivers/block/*", "drivers/md/*", "drivers/message/*", "drivers/mmc/*",
    "drivers/nvme/*", "drivers/scsi/*", "drivers/usb/storage/*", "drivers/cdrom/*",
    # file systems
    "fs/9p/*", "fs/binfmt_misc*", "fs/btrfs/*", "fs/efivarfs/*", "fs/erofs/*", "fs/ext4/*",
    "fs/fat/*", "fs/fuse/*", "fs/isofs/*", "fs/jbd2/*", "fs/mbcache*", "fs/netfs/*",
    "fs/nls/nls_ascii*", "fs/nls/nls_cp437*", "fs/nls/nls_iso8859-1.*", "fs/nls/nls_utf8*",
    "fs/overlayfs/*", "fs/pstore/*", "fs/squashfs/*",
    # buses, consoles, keyboards
    "drivers/hid/hid-apple.*", "drivers/hid/hid-cherry*", "drivers/hid/hid-generic*",
    "drivers/hid/hid-hyperv*", "drivers/hid/hid-lenovo*", "drivers/hid/hid-logitech*",
    "drivers/hid/hid-microsoft*", "drivers/hid/hid.*", "drivers/hid/usbhid/*",
    "drivers/hv/*", "drivers/input/keyboard/atkbd*", "drivers/input/serio/*",
    "drivers/input/evdev*", "drivers/pci/*", "drivers/tty/*", "drivers/usb/class/cdc-acm*",
    "drivers/usb/common/*", "drivers/usb/core/*", "drivers/usb/host/*", "drivers/usb/roles/*",
    "drivers/usb/serial/ftdi_sio*", "drivers/usb/serial/pl2303*", "drivers/usb/serial/usbserial*",
    "drivers/usb/serial/cp210x*", "drivers/virtio/*", "drivers/xen/*",
    # virtual machines
    "arch/x86/kvm/*", "drivers/vfio/*", "drivers/vhost/*", "virt/*",
    # the machine itself
    "drivers/acpi/*", "drivers/char/*", "drivers/cpufreq/*", "drivers/dma/ioat/*",
    "drivers/firmware/*", "drivers/mfd/lpc_ich*", "drivers/powercap/*", "drivers/ptp/*",
    "drivers/rtc/*", "drivers/thermal/intel/*", "drivers/watchdog/*", "drivers/hwmon/coretemp*",
    "drivers/hwmon/k10temp*", "drivers/i2c/busses/i2c-i801*",
    # loaded by name at run time, through the crypto API
    "arch/x86/crypto/*", "crypto/*", "lib/*",
)  # fmt: skip

MODULES_WITHOUT = (
    "*/pcmcia/*",
    "*_cs.*",
    "*_test.*",
    "*-test.*",
    "*kunit*",
    "*test_*",
    "drivers/acpi/apei/einj*",
    "drivers/acpi/dptf/int3406*",
    "drivers/acpi/nfit/*",
    "drivers/acpi/video*",
    "drivers/block/aoe/*",
    "drivers/block/drbd/*",
    "drivers/block/null_blk/*",
    "drivers/block/pktcdvd*",
    "drivers/block/rbd*",
    "drivers/block/rnbd/*",
    "drivers/char/agp/*",
    "drivers/char/lp.*",
    "drivers/char/ppdev*",
    "drivers/input/serio/parkbd*",
    "drivers/md/dm-vdo/*",
    "drivers/md/md-cluster*",
    "drivers/mmc/host/*usb*",
    "drivers/mmc/host/cb710*",
    "drivers/mmc/host/tifm*",
    "drivers/net/ethernet/netronome/*",
    "drivers/net/usb/cdc-phonet*",
    "drivers/net/usb/cdc_mbim*",
    "drivers/net/usb/hso*",
    "drivers/net/usb/huawei*",
    "drivers/net/usb/qmi_wwan*",
    "drivers/nvme/host/nvme-rdma*",
    "drivers/nvme/target/*",
    "drivers/rtc/rtc-wilco*",
    "drivers/scsi/be2iscsi/*",
    "drivers/scsi/bfa/*",
    "drivers/scsi/bnx2fc/*",
    "drivers/scsi/bnx2i/*",
    "drivers/scsi/ch.*",
    "drivers/scsi/csiostor/*",
    "drivers/scsi/cxgbi/*",
    "drivers/scsi/fcoe/*",
    "drivers/scsi/fnic/*",
    "drivers/scsi/lpfc/*",
    "drivers/scsi/qedf/*",
    "drivers/scsi/qedi/*",
    "drivers/scsi/qla2xxx/*",
    "drivers/scsi/qla4xxx/*",
    "drivers/scsi/scsi_debug*",
    "drivers/scsi/snic/*",
    "drivers/scsi/st.*",
    "drivers/tty/ipwireless/*",
    "drivers/tty/n_gsm*",
    "drivers/tty/serial/jsm/*",
    "drivers/vhost/vhost_scsi*",
    "drivers/virtio/virtio_pmem*",
    "drivers/watchdog/kempld*",
    "drivers/watchdog/pcwd_usb*",
    "drivers/xen/xen-scsiback*",
    "net/9p/9pnet_rdma*",
    "net/netfilter/ipset/*",
    "net/netfilter/ipvs/*",
    "net/netfilter/xt_ipvs*",
    "net/netfilter/xt_set*",
    "net/sched/em_ipset*",
)
