"""The version of the project."""

import importlib.metadata
import platform

PROJECT = "zero-os"


def project_version() -> str:
    """Return the project's version; on a node, which has no package metadata, its release."""
    try:
        return importlib.metadata.version(PROJECT)
    except importlib.metadata.PackageNotFoundError:
        pass
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    return release.get("VERSION_ID", "unknown") if release["ID"] == PROJECT else "unknown"
