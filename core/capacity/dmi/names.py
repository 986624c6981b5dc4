"""The names of structures: upstream's words for sections, and the titles that `dmidecode` prints.

Source: DSP0134, table of structure types. Upstream's words are kept where they are misspelt.
"""

SECTIONS = (
    *("BIOS", "System", "Baseboard", "Chassis", "Processor", "MemoryController", "MemoryModule"),
    *("Cache", "PortConnector", "SystemSlots", "OnBoardDevices", "OEMSettings"),
    *("SystemConfigurationOptions", "BIOSLanguage", "GroupAssociations", "SystemEventLog"),
    *("PhysicalMemoryArray", "MemoryDevice", "32BitMemoryError", "MemoryArrayMappedAddress"),
    *("MemoryDeviceMappedAddress", "BuiltinPointingDevice", "PortableBattery", "SystemReset"),
    *("HardwareSecurity", "SystemPowerControls", "VoltageProbe", "CoolingDevice"),
    *("TempratureProbe", "ElectricalCurrentProbe", "OutOfBandRemoteAccess"),
    *("BootIntegrityServices", "SystemBoot", "64BitMemoryError", "ManagementDevice"),
    *("ManagementDeviceComponent", "ManagementThresholdData", "MemoryChannel", "IPMIDevice"),
    *("PowerSupply", "AdditionalInformation", "OnboardDeviceExtendedInformation"),
    "ManagementControllerHostInterface",
)
TITLES = {
    0: "BIOS Information",
    1: "System Information",
    2: "Base Board Information",
    3: "Chassis Information",
    4: "Processor Information",
    5: "Memory Controller Information",
    6: "Memory Module Information",
    7: "Cache Information",
    8: "Port Connector Information",
    9: "System Slot Information",
    10: "On Board Device Information",
    11: "OEM Strings",
    12: "System Configuration Options",
    13: "BIOS Language Information",
    14: "Group Associations",
    15: "System Event Log",
    16: "Physical Memory Array",
    17: "Memory Device",
    18: "32-bit Memory Error Information",
    19: "Memory Array Mapped Address",
    20: "Memory Device Mapped Address",
    21: "Built-in Pointing Device",
    22: "Portable Battery",
    23: "System Reset",
    24: "Hardware Security",
    25: "System Power Controls",
    26: "Voltage Probe",
    27: "Cooling Device",
    28: "Temperature Probe",
    29: "Electrical Current Probe",
    30: "Out-of-band Remote Access",
    31: "Boot Integrity Services Entry Point",
    32: "System Boot Information",
    33: "64-bit Memory Error Information",
    34: "Management Device",
    35: "Management Device Component",
    36: "Management Device Threshold Data",
    37: "Memory Channel",
    38: "IPMI Device Information",
    39: "System Power Supply",
    40: "Additional Information",
    41: "Onboard Device",
    42: "Management Controller Host Interface",
    43: "TPM Device",
    126: "Inactive",
    127: "End Of Table",
}
VENDORS_FROM = 128


def section_name(kind: int) -> str:
    """Return upstream's word for a structure's type."""
    return SECTIONS[kind] if kind < len(SECTIONS) else f"Custom Type {kind}"


def title_of(kind: int) -> str:
    """Return the title that `dmidecode` prints for a structure's type."""
    return TITLES.get(kind, "OEM-specific Type" if kind >= VENDORS_FROM else "Unknown Type")
