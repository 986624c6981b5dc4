"""The interface of upstream's rfs server: blocks, files, websites."""
