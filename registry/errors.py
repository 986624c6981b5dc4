"""The errors of the registry, each with its HTTP status."""

from common.errors import ZosError


class RegistryError(ZosError):
    """A request that the registry refuses."""

    http_status = 422
