"""Fast tests of `image`."""
