"""What a registration proves: that its image was made for the farm, and what its TPM has measured.

Both are checked before the report is written, since they take time, and neither is ever a reason to
refuse a report: the node is shown as `unproven`, or as not attested, with the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from common.errors import ZosError
from common.nodes.enrolment import TokenError, verify_token
from common.nodes.quote import verify
from registry.nodes.model import Body, Register, Report

WHY_CHARS = 200

CheckToken = Callable[[str], int]
"""Returns the farm that an enrolment token is for. Raises `ZosError` for a false one."""
CheckQuote = Callable[[Mapping[str, Any], str, str], str]
"""Returns the attestation key of a quote of a node, with a nonce. Raises `ZosError` for a quote
that does not prove what was booted."""


@dataclass(frozen=True, slots=True)
class Proofs:
    """What was found; a reason is empty where the proof is good."""

    enrolled_for: int | None
    enrolment_why: str
    ak: str  # the TPM's key that has vouched for what was booted
    attestation_why: str


NOTHING = Proofs(None, "", "", "the report has no quote")


def check_proofs(
    report: Report, body: Body, check_token: CheckToken | None, check_quote: CheckQuote
) -> Proofs:
    """Return what a report proves; only a registration can."""
    if not isinstance(body, Register):
        return NOTHING
    farm, why = find_enrolment(report, body, check_token)
    ak, fault = find_attestation(report, body, check_quote)
    return Proofs(farm, why[:WHY_CHARS], ak, fault[:WHY_CHARS])


def find_enrolment(
    report: Report, body: Register, check_token: CheckToken | None
) -> tuple[int | None, str]:
    """Return the farm that a token is for if it is the report's, or None and the reason."""
    if not body.enrol:
        return None, "the node was booted without an enrolment token"
    if check_token is None:
        return None, "this registry knows no bootstrap server's key"
    try:
        farm = check_token(body.enrol)
    except ZosError as error:
        return None, error.message
    if farm != report.farm:
        return None, f"the enrolment token is for farm {farm}"
    return farm, ""


def find_attestation(report: Report, body: Register, check_quote: CheckQuote) -> tuple[str, str]:
    """Return the key of the TPM that has vouched for what was booted, or why none has."""
    if body.quote is None:
        return "", "the node has no TPM that vouches for it"
    try:
        return check_quote(body.quote, report.node, report.nonce), ""
    except ZosError as error:
        return "", error.message


def make_token_check(keys: Sequence[Ed25519PublicKey]) -> CheckToken | None:
    """Return the check by the keys of some bootstrap servers; None without any."""

    def check(token: str) -> int:
        fault: ZosError | None = None
        for key in keys:
            try:
                return verify_token(key, token).farm
            except TokenError as error:
                fault = error
        assert fault is not None
        raise fault

    return check if keys else None


def check_tpm_quote(said: Mapping[str, Any], node: str, nonce: str) -> str:
    """Return the attestation key of a quote. Raises `QuoteError`."""
    return verify(said, node, nonce).ak
