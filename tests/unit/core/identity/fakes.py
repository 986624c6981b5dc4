"""TPMs that must not be asked, or that have a seed or not."""

from pathlib import Path

from core.identity.measured import Measured
from core.identity.sealed import Policy, Sealed
from core.identity.tools import Tools, TpmError
from core.identity.vault import Vault


class NoTools(Tools):
    """Fails a test that runs a tool."""

    def __init__(self) -> None:
        super().__init__(Path("/nonexistent"))

    def run(self, tool: str, *words: str, stdin: bytes | None = None) -> bytes:
        raise AssertionError(f"tpm2 {tool} is run")


class FakeVault(Vault):
    """A TPM that has a seed or not, and fails where it is told to."""

    def __init__(self, seed: bytes | None = None, policy: Policy = Policy.RELEASE, fails: str = ""):
        super().__init__(NoTools(), Measured())
        self.seed, self.policy, self.fails = seed, policy, fails

    def find(self) -> Sealed | None:
        self._fail("find")
        return Sealed(self.policy, bytes(32), b"", b"") if self.seed else None

    def open(self, sealed: Sealed) -> bytes:
        self._fail("open")
        assert self.seed
        return self.seed

    def seal(self, seed: bytes) -> Policy:
        self._fail("seal")
        self.seed = seed
        return self.policy

    def _fail(self, what: str) -> None:
        if what == self.fails:
            raise TpmError(f"it fails to {what}", hint="tpm2 something")
