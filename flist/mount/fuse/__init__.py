"""The kernel's FUSE interface: attach, decode requests, answer them."""
