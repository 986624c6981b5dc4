"""A TPM that must not be asked."""

from pathlib import Path

from core.identity.tools import Tools


class NoTools(Tools):
    """Fails a test that runs a tool."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))

    def run(self, tool: str, *words: str, stdin: bytes | None = None) -> bytes:
        raise AssertionError(f"tpm2 {tool} is run")
