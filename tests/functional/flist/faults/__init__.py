"""Tests of faults: full disks, kills, interrupts, hostile flists, broken servers."""
