"""What goes into a release: profiles and their tables."""
