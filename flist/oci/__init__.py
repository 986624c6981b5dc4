"""Container images become flists: read from a registry, an OCI layout or an archive, without an engine.

The layers go reference -> manifest, platform, config -> tar, tree -> apply -> convert; sources
(registry, layout, archive) give bytes that are checked against their digest before they are used.
"""
