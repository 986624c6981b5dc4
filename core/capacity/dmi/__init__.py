"""The firmware's description of the machine (SMBIOS, DMTF DSP0134), in upstream's form.

The tables are whatever a vendor wrote: every length and index in them is checked.
"""
