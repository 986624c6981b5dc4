"""Tests with real parts of `serving`: sockets, processes, signals."""
