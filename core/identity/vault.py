"""The seed in the TPM: sealed to the owner hierarchy by a policy, and kept in an NV index.

A node has no disk of its own, so the sealed object itself is in the TPM. The primary key that it
needs is made anew each time: the same template gives the same key until the TPM is cleared. No
persistent handle is taken, and an index that is not as this module makes it is left alone.

The policies:

- RELEASE: PCR 11 has a value that the release's key has signed (PolicyAuthorize), and PCR 7, the
  state of Secure Boot, is what it was. A signed update opens the seed; another key's does not.
- STATE: PCR 7 alone, for boots that nothing was signed for (iPXE, a UKI without `.pcrsig`).
"""

import re

import yaml

from core.identity.measured import KERNEL, Measured
from core.identity.model import SEED_BYTES, IdentityError
from core.identity.sealed import MAGIC, SIZE, Policy, Sealed, decode, encode
from core.identity.tools import Tools, TpmError, TpmRefusedError

INDEX = 0x0180_5A01  # in the range that the TCG leaves to a TPM's owner
INDEX_ATTRIBUTES = "ownerread|ownerwrite|no_da"
INDEX_BITS = 0x0202_0002  # the same, as TPMA_NV
WRITTEN = 0x2000_0000
SECURE_BOOT = 7
OBJECT_ATTRIBUTES = "fixedtpm|fixedparent|noda"  # a policy opens it, and no password
# As the storage root key that the TCG recommends; without noda a lockout would keep the seed back.
PRIMARY_ATTRIBUTES = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt"
PRIMARY, OBJECT = "primary.ctx", "object.ctx"
CHANGED = (
    "Secure Boot's keys or mode have changed (PCR 7), so the TPM keeps the node's seed; set them "
    "back, or clear the TPM for a new one"
)


class Vault:
    """A TPM as the place of the seed."""

    def __init__(self, tools: Tools, measured: Measured) -> None:
        self._tools = tools
        self._measured = measured

    def find(self) -> Sealed | None:
        """Return the sealed seed; None if there is none. Raises `TpmError`, `IdentityError`."""
        if self._state() != "written":
            return None
        words = ["-C", "o", "-s", str(SIZE), f"{INDEX:#x}"]
        try:
            return decode(self._tools.run("nvread", *words))
        except IdentityError as error:
            raise IdentityError(
                f"cannot use the seed in the TPM (NV index {INDEX:#x}): {error.message}",
                hint="clearing the TPM in the firmware's menu gives the node a new identity",
            ) from None

    def open(self, sealed: Sealed) -> bytes:
        """Return the seed. Raises `TpmRefusedError` if its policy does not hold, or `TpmError`."""
        if sealed.policy == Policy.RELEASE and sealed.signer != self._measured.signer:
            raise TpmRefusedError(
                "the seed in the TPM opens for the releases of the key "
                f"{sealed.signer.hex()[:16]}, and this boot is none of them",
                hint="boot a zos.efi that is signed by that key (`--pcr-key`)",
            )
        self._make_primary()
        public = self._tools.write("object.pub", sealed.public)
        private = self._tools.write("object.priv", sealed.private)
        self._tools.run("load", "-Q", "-C", PRIMARY, "-u", public, "-r", private, "-c", OBJECT)
        with self._tools.session("--policy-session", "--tpmkey-context", PRIMARY) as session:
            self._tools.run("sessionconfig", session, "--enable-encrypt")
            self._apply(sealed.policy, session)
            seed = self._unseal(session)
        if len(seed) != SEED_BYTES:
            raise TpmError(f"the TPM gives {len(seed)} bytes in place of a seed")
        return seed

    def _unseal(self, session: str) -> bytes:
        """Return the seed. That PCR 11 is signed has been shown, so a refusal is about PCR 7."""
        try:
            return self._tools.run("unseal", "-c", OBJECT, "-p", f"session:{session}")
        except TpmRefusedError as error:
            raise TpmRefusedError(f"{CHANGED}: {error.message}") from error

    def seal(self, seed: bytes) -> Policy:
        """Keep a seed; return the policy by which it opens. Raises `TpmError`, `IdentityError`.

        There must be none yet. It is kept once this has returned, and opens.
        """
        state = self._state()
        if state == "written" and self.find() is not None:
            raise IdentityError("cannot keep a seed in the TPM: it has one")
        sealed = self._make(seed)
        if self.open(sealed) != seed:
            raise TpmError("the TPM gives another seed than it was given")
        if state == "free":
            words = ["-C", "o", "-s", str(SIZE), "-a", INDEX_ATTRIBUTES, f"{INDEX:#x}"]
            self._tools.run("nvdefine", "-Q", *words)
        content, start = encode(sealed), len(MAGIC)
        self._write(content[start:], start)
        self._write(MAGIC, 0)  # last, since a TPM may write a large content in parts
        if self.find() != sealed:
            raise TpmError("the TPM's NV index has something else than was written")
        return sealed.policy

    def _state(self) -> str:
        """Return whether the index is "free", "defined" or "written"; it must be of our kind."""
        if INDEX not in self._tools.handles("nv-index"):
            return "free"
        said = self._tools.run("nvreadpublic", f"{INDEX:#x}")
        try:
            (about,) = yaml.safe_load(re.sub(rb"\t", b" ", said)).values()
            bits, size = int(about["attributes"]["value"]), int(about["size"])
        except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError):
            raise TpmError(f"cannot read what NV index {INDEX:#x} is") from None
        if bits & ~WRITTEN != INDEX_BITS or size != SIZE:
            raise TpmError(
                f"NV index {INDEX:#x} of the TPM belongs to another system",
                hint=f"if it is of no use: tpm2_nvundefine {INDEX:#x}",
            )
        return "written" if bits & WRITTEN else "defined"

    def _write(self, data: bytes, offset: int) -> None:
        words = ["-C", "o", "-i", self._tools.write("content", data), "--offset", str(offset)]
        self._tools.run("nvwrite", "-Q", *words, f"{INDEX:#x}")

    def _make_primary(self) -> None:
        form = ["-g", "sha256", "-G", "ecc256", "-a", PRIMARY_ATTRIBUTES]
        self._tools.run("createprimary", "-Q", "-C", "o", *form, "-c", PRIMARY)

    def _make(self, seed: bytes) -> Sealed:
        """Return the seed, sealed by the best policy that this boot meets."""
        self._make_primary()
        try:
            policy = Policy.RELEASE
            digest = self._digest(policy)
        except TpmRefusedError:
            policy = Policy.STATE
            digest = self._digest(policy)
        with self._tools.session("--hmac-session", "--tpmkey-context", PRIMARY) as session:
            self._tools.run("sessionconfig", session, "--enable-decrypt")
            words = ["-C", PRIMARY, "-P", f"session:{session}", "-g", "sha256", "-i", "-"]
            words += ["-L", self._tools.write("policy", digest), "-a", OBJECT_ATTRIBUTES]
            self._tools.run(
                "create", "-Q", *words, "-u", "object.pub", "-r", "object.priv", stdin=seed
            )
        signer = self._measured.signer if policy == Policy.RELEASE else bytes(32)
        return Sealed(
            policy, signer, self._tools.read("object.pub"), self._tools.read("object.priv")
        )

    def _digest(self, policy: Policy) -> bytes:
        """Return a policy's digest for this boot."""
        with self._tools.session() as session:
            self._apply(policy, session)
        return self._tools.read("final.policy")

    def _apply(self, policy: Policy, session: str) -> None:
        """Show the TPM in a session that a policy holds. Raises `TpmRefusedError`."""
        if policy == Policy.RELEASE:
            self._authorize(session)
        self._tools.run(
            "policypcr", "-S", session, "-l", f"sha256:{SECURE_BOOT}", "-L", "final.policy"
        )

    def _authorize(self, session: str) -> None:
        """Show that PCR 11 is as the release's key has signed."""
        approved, name, ticket = "kernel.policy", "key.name", "key.ticket"
        self._tools.run("policypcr", "-S", session, "-l", f"sha256:{KERNEL}", "-L", approved)
        signed = self._measured.find(self._tools.read(approved))
        if signed is None:
            raise TpmRefusedError("the release's key has not signed what was booted (PCR 11)")
        key = self._tools.write("key.pem", self._measured.key)
        signature = self._tools.write("signature", signed.signature)
        words = ["-C", "o", "-G", "rsa", "-u", key, "-c", "key.ctx", "-n", name]
        self._tools.run("loadexternal", "-Q", *words)
        words = ["-c", "key.ctx", "-g", "sha256", "-f", "rsassa", "-m", approved]
        self._tools.run("verifysignature", *words, "-s", signature, "-t", ticket)
        self._tools.run("policyauthorize", "-S", session, "-i", approved, "-n", name, "-t", ticket)
