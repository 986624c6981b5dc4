"""Whether a boot was the one that a release foretells: its event log against the manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.efi.eventlog import Event, is_secure_boot_on, parse_log, replay
from common.efi.pe import MAX_BYTES
from image.errors import FormatError, ImageError
from image.files import read_file
from image.release.manifest import NAME
from image.release.unified import UNSIGNED, describe_uki

Forecasts = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Report:
    """The registers of a boot: `rows` has number, foretold and found; `events` what they are of."""

    secure_boot: bool
    rows: tuple[tuple[int, str, str], ...]
    events: tuple[Event, ...]

    @property
    def is_as_foretold(self) -> bool:
        """Return whether all registers are."""
        return all(foretold == found for _, foretold, found in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "secure_boot": self.secure_boot,
            "as_foretold": self.is_as_foretold,
            "pcrs": {
                str(number): {"foretold": foretold, "found": found}
                for number, foretold, found in self.rows
            },
        }

    def text(self) -> str:
        """Return the report as lines for people; the events of a register that differs follow."""
        lines = [f"Secure Boot was {'on' if self.secure_boot else 'off'}\n"]
        for number, foretold, found in self.rows:
            if foretold == found:
                lines.append(f"PCR {number:>2}  {found}  as foretold\n")
                continue
            lines.append(f"PCR {number:>2}  {found}  differs from {foretold}\n")
            own = (event for event in self.events if event.pcr == number)
            lines += [f"        {event.digest.hex()[:16]}  {event.text}\n" for event in own]
        return "".join(lines)


def compare(forecasts: Forecasts, events: list[Event]) -> Report:
    """Return the report on the events of a boot."""
    is_on = is_secure_boot_on(events)
    foretold = forecasts["secure_boot_on" if is_on else "secure_boot_off"]
    found = {str(number): value.hex() for number, value in replay(events).items()}
    rows = [(int(n), value, found.get(n, "0" * 64)) for n, value in foretold.items()]
    return Report(is_on, tuple(sorted(rows)), tuple(events))


def read_forecast(path: Path) -> Forecasts:
    """Return the registers of a manifest, or of a UKI. Raises `ImageError`."""
    file = path / NAME if path.is_dir() else path
    data = read_file(file, MAX_BYTES)
    if data.startswith(b"MZ"):
        return dict(describe_uki(data, UNSIGNED)["pcrs"])
    try:
        pcrs = json.loads(data)["pcrs"]
        return {
            when: {str(int(n)): bytes.fromhex(value).hex() for n, value in pcrs[when].items()}
            for when in ("secure_boot_on", "secure_boot_off")
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"cannot read {file}: not a manifest that foretells PCRs") from error


def read_log(path: Path) -> list[Event]:
    """Return the events of a log. Raises `ImageError`."""
    try:
        return parse_log(path.read_bytes())
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
