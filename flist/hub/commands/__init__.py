"""The commands of `zos hub`, one module each."""
