"""The verbs of `zos image`, one module each."""
