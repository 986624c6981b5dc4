"""The words for numbers in structures; the first is for 1. Source: DSP0134, in its order."""

OUT_OF_SPEC = "<OUT OF SPEC>"

WAKE_UP = (
    *("Other", "Unknown", "APM Timer", "Modem Ring", "LAN Remote", "Power Switch", "PCI PME#"),
    "AC Power Restored",
)
BOARD = (
    *("Unknown", "Other", "Server Blade", "Connectivity Switch", "System Management Module"),
    *("Processor Module", "I/O Module", "Memory Module", "Daughter Board", "Motherboard"),
    *("Processor+Memory Module", "Processor+I/O Module", "Interconnect Board"),
)
CHASSIS = (
    *("Other", "Unknown", "Desktop", "Low Profile Desktop", "Pizza Box", "Mini Tower", "Tower"),
    *("Portable", "Laptop", "Notebook", "Hand Held", "Docking Station", "All In One"),
    *("Sub Notebook", "Space-saving", "Lunch Box", "Main Server Chassis", "Expansion Chassis"),
    *("Sub Chassis", "Bus Expansion Chassis", "Peripheral Chassis", "RAID Chassis"),
    *("Rack Mount Chassis", "Sealed-case PC", "Multi-system", "CompactPCI", "AdvancedTCA", "Blade"),
    *("Blade Enclosing", "Tablet", "Convertible", "Detachable", "IoT Gateway", "Embedded PC"),
    *("Mini PC", "Stick PC"),
)
CHASSIS_STATE = ("Other", "Unknown", "Safe", "Warning", "Critical", "Non-recoverable")
CHASSIS_SECURITY = (
    *("Other", "Unknown", "None", "External Interface Locked Out", "External Interface Enabled"),
)  # fmt: skip
PROCESSOR = (
    *("Other", "Unknown", "Central Processor", "Math Processor", "DSP Processor"),
    "Video Processor",
)
# From 0.
PROCESSOR_STATUS = ("Unknown", "Enabled", "Disabled By User", "Disabled By BIOS", "Idle")
FAMILIES = {
    0x01: "Other",
    0x02: "Unknown",
    0x0B: "Pentium",
    0x1D: "ARMv7",
    0x28: "Core Duo",
    0x2B: "Atom",
    0x2C: "Core M",
    0x2D: "Core m3",
    0x2E: "Core m5",
    0x2F: "Core m7",
    0x66: "Athlon X4",
    0x67: "Opteron X1000",
    0x68: "Opteron X2000",
    0x69: "Opteron A-Series",
    0x6A: "Opteron X3000",
    0x6B: "Zen",
    0x83: "Athlon 64",
    0x84: "Opteron",
    0x85: "Sempron",
    0x8A: "Third-Generation Opteron",
    0x8C: "Phenom X4",
    0xA1: "Quad-Core Xeon 3200",
    0xB3: "Xeon",
    0xBF: "Core 2 Duo",
    0xC6: "Core i7",
    0xC7: "Dual-Core Celeron",
    0xCD: "Core i5",
    0xCE: "Core i3",
    0xCF: "Core i9",
    0xD6: "Multi-Core Xeon",
    0xDD: "Quad-Core Xeon 5xxx",
    0xE2: "Athlon II",
    0xEC: "Phenom II",
    0x100: "ARMv7",
    0x101: "ARMv8",
    0x118: "ARM",
    0x200: "RV32",
    0x201: "RV64",
    0x202: "RV128",
}
VOLTAGES = ("5.0 V", "3.3 V", "2.9 V")  # bits
ARRAY_PLACE = (
    *("Other", "Unknown", "System Board Or Motherboard", "ISA Add-on Card", "EISA Add-on Card"),
    *("PCI Add-on Card", "MCA Add-on Card", "PCMCIA Add-on Card", "Proprietary Add-on Card"),
    "NuBus",
)
ARRAY_USE = (
    *("Other", "Unknown", "System Memory", "Video Memory", "Flash Memory", "Non-volatile RAM"),
    "Cache Memory",
)
ARRAY_CORRECTION = (
    *("Other", "Unknown", "None", "Parity", "Single-bit ECC", "Multi-bit ECC", "CRC"),
)  # fmt: skip
MEMORY_FORM = (
    *("Other", "Unknown", "SIMM", "SIP", "Chip", "DIP", "ZIP", "Proprietary Card", "DIMM", "TSOP"),
    *("Row Of Chips", "RIMM", "SODIMM", "SRIMM", "FB-DIMM", "Die"),
)
MEMORY = (
    *("Other", "Unknown", "DRAM", "EDRAM", "VRAM", "SRAM", "RAM", "ROM", "Flash", "EEPROM"),
    *("FEPROM", "EPROM", "CDRAM", "3DRAM", "SDRAM", "SGRAM", "RDRAM", "DDR", "DDR2"),
    *("DDR2 FB-DIMM", "Reserved", "Reserved", "Reserved", "DDR3", "FBD2", "DDR4", "LPDDR"),
    *("LPDDR2", "LPDDR3", "LPDDR4", "Logical non-volatile device", "HBM", "HBM2", "DDR5"),
    "LPDDR5",
)
# The bits from 1.
MEMORY_DETAIL = (
    *("Other", "Unknown", "Fast-paged", "Static Column", "Pseudo-static", "RAMBus", "Synchronous"),
    *("CMOS", "EDO", "Window DRAM", "Cache DRAM", "Non-Volatile", "Registered (Buffered)"),
    *("Unbuffered (Unregistered)", "LRDIMM"),
)
MEMORY_TECHNOLOGY = (
    *("Other", "Unknown", "DRAM", "NVDIMM-N", "NVDIMM-F", "NVDIMM-P"),
    "Intel Optane DC persistent memory",
)
MEMORY_MODES = (  # the bits from 1
    *("Other", "Unknown", "Volatile memory", "Byte-accessible persistent memory"),
    "Block-accessible persistent memory",
)
BOOT_STATUS = (  # from 0
    *("No errors detected", "No bootable media", "Operating system failed to load"),
    *("Firmware-detected hardware failure", "Operating system-detected hardware failure"),
    *("User-requested boot", "System security violation", "Previously-requested image"),
    "System watchdog timer expired",
)
DEVICE = (
    *("Other", "Unknown", "Video", "SCSI Controller", "Ethernet", "Token Ring", "Sound"),
    *("PATA Controller", "SATA Controller", "SAS Controller", "Wireless LAN", "Bluetooth", "WWAN"),
    *("eMMC", "NVMe Controller", "UFS Controller"),
)

# What a firmware can do: the bits from 4 of one number, and those of two further bytes.
FIRMWARE = (
    *("ISA is supported", "MCA is supported", "EISA is supported", "PCI is supported"),
    *("PC Card (PCMCIA) is supported", "PNP is supported", "APM is supported"),
    *("BIOS is upgradeable", "BIOS shadowing is allowed", "VLB is supported"),
    *("ESCD support is available", "Boot from CD is supported", "Selectable boot is supported"),
    *("BIOS ROM is socketed", "Boot from PC Card (PCMCIA) is supported", "EDD is supported"),
    "Japanese floppy for NEC 9800 1.2 MB is supported (int 13h)",
    "Japanese floppy for Toshiba 1.2 MB is supported (int 13h)",
    '5.25"/360 kB floppy services are supported (int 13h)',
    '5.25"/1.2 MB floppy services are supported (int 13h)',
    '3.5"/720 kB floppy services are supported (int 13h)',
    '3.5"/2.88 MB floppy services are supported (int 13h)',
    "Print screen service is supported (int 5h)",
    "8042 keyboard services are supported (int 9h)",
    "Serial services are supported (int 14h)",
    "Printer services are supported (int 17h)",
    "CGA/mono video services are supported (int 10h)",
    "NEC PC-98",
)
FIRMWARE_1 = (
    *("ACPI is supported", "USB legacy is supported", "AGP is supported", "I2O boot is supported"),
    *("LS-120 boot is supported", "ATAPI Zip drive boot is supported"),
    *("IEEE 1394 boot is supported", "Smart battery is supported"),
)
FIRMWARE_2 = (
    "BIOS boot specification is supported",
    "Function key-initiated network boot is supported",
    "Targeted content distribution is supported",
    "UEFI is supported",
    "System is a virtual machine",
    "Manufacturing mode is supported",
    "Manufacturing mode is enabled",
)
BOARD_FEATURES = (
    "Board is a hosting board",
    "Board requires at least one daughter board",
    "Board is removable",
    "Board is replaceable",
    "Board is hot swappable",
)
PROCESSOR_FEATURES = (  # the bits from 2
    *("64-bit capable", "Multi-Core", "Hardware Thread", "Execute Protection"),
    *("Enhanced Virtualization", "Power/Performance Control", "128-bit Capable", "Arm64 SoC ID"),
)


def word(words: tuple[str, ...], number: int, first: int = 1) -> str:
    """Return the word for a number; the tuple begins with the one for `first`."""
    place = number - first
    return words[place] if 0 <= place < len(words) else OUT_OF_SPEC


def bits(words: tuple[str, ...], number: int, first: int = 0) -> list[str]:
    """Return the words for the bits that are set; the tuple begins with that for bit `first`."""
    return [text for place, text in enumerate(words, first) if number >> place & 1]
