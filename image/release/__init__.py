"""Whole releases: build, identity, manifest, listing."""
