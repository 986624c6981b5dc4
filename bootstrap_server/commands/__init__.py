"""One module per verb of `zos bootstrap`."""
