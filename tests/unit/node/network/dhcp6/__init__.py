"""Tests of `node.network.dhcp6`."""
