"""Unit tests of `node.network.dhcp`."""
