"""The parts of an initramfs: kernel modules, libraries and Python, wheels, the project."""
