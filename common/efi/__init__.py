"""EFI binaries: their headers and sections, their signatures for Secure Boot, its keys."""
