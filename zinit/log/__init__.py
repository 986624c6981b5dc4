"""What services print: ring, console and log files."""
