"""QEMU's options for what boots a machine from the network: a card's own iPXE, or the firmware."""

# Else the card brings an iPXE of its own, and the firmware's network stack is not used.
NO_ROM = ("-global", "virtio-net-pci.romfile=")
# UEFI's HTTP Boot alone.
NO_PXE = tuple(
    word
    for family in ("IPv4", "IPv6")
    for word in ("-fw_cfg", f"name=opt/org.tianocore/{family}PXESupport,string=n")
)
