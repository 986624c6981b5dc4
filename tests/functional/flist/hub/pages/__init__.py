"""The pages of a hub, in a browser."""
