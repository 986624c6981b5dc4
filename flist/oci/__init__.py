"""Container images become flists, without an engine: from a registry, a layout or an archive.

The layers go reference -> manifest, platform, config -> tar, tree -> apply -> convert; sources
(registry, layout, archive) give bytes that are checked against their digest before they are used.
"""
