"""Flists made by upstream's tools, kept outside the repository."""

from pathlib import Path

import pytest

from tests.helpers.checkout import TOP


def samples_dir() -> Path:
    """Return the folder of samples; skip the test if it is absent."""
    place = TOP.parent / "shared" / "samples"
    if not place.is_dir():
        pytest.skip(f"the samples are not at {place}")
    return place
