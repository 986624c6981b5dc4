"""What tests of several rooms use."""

import pytest


@pytest.fixture(params=["raw", "library"])
def adapter(request: pytest.FixtureRequest) -> str:
    """Return each value of `--adapter`: a mount behaves the same with both."""
    value: str = request.param
    return value
