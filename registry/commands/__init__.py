"""The commands of `zos registry`, one module each."""
