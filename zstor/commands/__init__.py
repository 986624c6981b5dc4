"""One module for each command.

Each has NAME, HELP, `add_arguments(parser)` and `run(vault, options) -> exit status`.
"""
