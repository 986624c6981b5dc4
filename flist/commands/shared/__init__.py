"""Options, output and steps that several commands share."""
