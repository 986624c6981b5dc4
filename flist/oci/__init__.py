"""Converts container images into flists without a container engine.

The order of the modules, lowest first: errors, digest, platform, manifest, config, image | `layer`
(reads tar archives into a tree) | `source` (registry, layout, archive) | build, convert. A source
checks all bytes against their digest before they are used.
"""
