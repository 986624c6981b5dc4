"""EFI binaries: the UKI, signatures for Secure Boot, measured boot."""
