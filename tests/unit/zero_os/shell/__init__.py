"""Unit tests of shell completion and man pages."""
