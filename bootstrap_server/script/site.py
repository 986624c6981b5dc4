"""What a server adds to the scripts that it makes, whatever they are made for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """Addresses come from `Settings`, so they are checked.

    `mirrors` serve the same releases as `public_url`. With `has_log`, a script reports its stages
    to `public_url`. `token` is the enrolment token of the script's options, or empty; nodes report
    to `registry_url`, if there is one.
    """

    public_url: str
    hub_url: str
    mirrors: tuple[str, ...] = ()
    has_log: bool = False
    token: str = ""
    registry_url: str = ""
