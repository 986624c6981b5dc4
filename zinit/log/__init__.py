"""The output of services: ring, console and log files."""
