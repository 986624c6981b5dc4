"""The formats of a release: cpio archives, ELF files, compression."""
