"""The one door to the TPM: Debian's tpm2-tools, a process for each command, with deadlines.

Data goes to and from them by files of a private folder, which is their working directory; a seed
goes by stdin and stdout only, and over the wire to the TPM encrypted by a session.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path

from common.run import CommandError, run
from core.errors import CoreError
from core.identity.places import DEVICE

COMMAND_S = 30.0
TASK_S = 90.0

_CODE = re.compile(r"\(0x([0-9A-Fa-f]{1,8})\)")
# TPM 2.0 Library, Part 2, TPM_RC: a policy does not hold. Those of format one come with the number
# of the parameter or session, which is masked.
FORMAT_ONE, ERROR_BITS = 0x080, 0x0BF
SIGNATURE, POLICY_FAIL, PCR_CHANGED = 0x09B, 0x09D, 0x128


class TpmError(CoreError):
    """The TPM, or one of its tools, has failed or does not answer."""


class TpmRefusedError(TpmError):
    """The TPM keeps something to itself, since a policy does not hold."""


class Tools:
    """Runs tools for one task, which has `task_s` in all; each command has `command_s`."""

    def __init__(
        self,
        folder: Path,
        tcti: str = f"device:{DEVICE}",
        task_s: float = TASK_S,
        command_s: float = COMMAND_S,
    ) -> None:
        self.folder = folder
        self._env = {"TPM2TOOLS_TCTI": tcti, "TSS2_LOG": "all+ERROR"}
        self._command_s = command_s
        self._ends_s = time.monotonic() + task_s

    def run(self, tool: str, *words: str, stdin: bytes | None = None) -> bytes:
        """Return what `tpm2 TOOL WORDS` prints. Raises `TpmError`."""
        left_s = min(self._command_s, self._ends_s - time.monotonic())
        if left_s <= 0:
            raise TpmError("the TPM takes too long to answer")
        try:
            call = ["tpm2", tool, *words]
            return run(call, timeout_s=left_s, env=self._env, cwd=self.folder, stdin=stdin)
        except CommandError as error:
            raise explain(tool, error) from error

    def read(self, name: str) -> bytes:
        """Return a file that a tool has written."""
        return (self.folder / name).read_bytes()

    def write(self, name: str, data: bytes) -> str:
        """Write a file for a tool; return its name."""
        (self.folder / name).write_bytes(data)
        return name

    def handles(self, kind: str) -> set[int]:
        """Return the handles that the TPM has, such as those of `nv-index`."""
        said = self.run("getcap", f"handles-{kind}").decode(errors="replace")
        return {int(word, 16) for word in re.findall(r"^- (0x[0-9A-Fa-f]+)$", said, re.MULTILINE)}

    @contextlib.contextmanager
    def session(self, *how: str) -> Iterator[str]:
        """Start a session, and end it: a TPM has few, and they survive the tools."""
        name = "session.ctx"
        self.run("startauthsession", "-S", name, *how)
        try:
            yield name
        finally:
            with contextlib.suppress(TpmError):
                self.run("flushcontext", name)


def explain(tool: str, error: CommandError) -> TpmError:
    """Return the error of a tool; its text is the first line that names the TPM's answer."""
    lines = [line.strip() for line in error.message.splitlines() if line.strip()]
    said = next((line for line in lines if _CODE.search(line)), lines[0] if lines else "")
    found = _CODE.search(said)
    kind = TpmRefusedError if found and is_refusal(int(found[1], 16)) else TpmError
    return kind(f"the TPM refuses {tool}: {said}" if found else f"{tool}: {said}", hint=error.hint)


def is_refusal(code: int) -> bool:
    """Return whether a response code says that a policy does not hold."""
    number = code & ERROR_BITS if code & FORMAT_ONE else code
    return number in (SIGNATURE, POLICY_FAIL, PCR_CHANGED)
