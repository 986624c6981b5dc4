"""Has the TPM quote its registers (`common.nodes.quote` says what a quote is)."""

import base64
import zlib
from typing import Any

from common.nodes.quote import REGISTERS, qualifying_data
from core.identity.tools import Tools, TpmError

KEY = "ak.ctx"
KEY_FORM = "ecc256:ecdsa-sha256:null"
KEY_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|sign"
# TCG EK Credential Profile: the certificates of the P-256 and of the RSA 2048 endorsement key.
CERTIFICATES = (0x01C0_000A, 0x01C0_0002)
CERTIFICATE_MAX_BYTES = 4096
SIZE_BYTES = 2  # before the TPMT_PUBLIC in a TPM2B_PUBLIC


def quote(tools: Tools, event_log: bytes, node: str, nonce: str) -> dict[str, Any]:
    """Return a quote for a nonce. Raises `TpmError`."""
    form = ["-g", "sha256", "-G", KEY_FORM, "-a", KEY_ATTRIBUTES]
    tools.run("createprimary", "-Q", "-C", "e", *form, "-c", KEY)
    tools.run("readpublic", "-Q", "-c", KEY, "-f", "tss", "-o", "ak.public")
    selection = "sha256:" + ",".join(str(number) for number in REGISTERS)
    words = ["-c", KEY, "-l", selection, "-q", qualifying_data(node, nonce).hex()]
    words += ["-g", "sha256", "-m", "attest", "-s", "signature", "-f", "plain"]
    tools.run("quote", "-Q", *words)
    fields = {
        "ak": tools.read("ak.public")[SIZE_BYTES:],
        "attest": tools.read("attest"),
        "signature": tools.read("signature"),
        "event_log": zlib.compress(event_log, 9),
        "ek": read_certificate(tools),
    }
    return {name: base64.b64encode(value).decode() for name, value in fields.items() if value}


def read_certificate(tools: Tools) -> bytes:
    """Return the endorsement key's certificate in DER; nothing if the TPM has none."""
    try:
        present = tools.handles("nv-index")
        index = next((index for index in CERTIFICATES if index in present), None)
        data = tools.run("nvread", "-C", "o", f"{index:#x}") if index else b""
    except TpmError:
        return b""
    return trim(data)


def trim(data: bytes) -> bytes:
    """Return a certificate in DER without what fills the index up; nothing if it is none."""
    if len(data) < 4 or data[:2] != b"\x30\x82":  # a sequence of 256 bytes and more
        return b""
    size = 4 + int.from_bytes(data[2:4])
    return data[:size] if size <= min(len(data), CERTIFICATE_MAX_BYTES) else b""
