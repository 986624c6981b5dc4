"""Keys of Secure Boot: making them, and the files that bring them to a machine or to OVMF."""

import datetime
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from common.efi.errors import EfiError
from common.efi.keys import Signer
from common.efi.sources import open_signer, read_certificate
from common.files import write_atomic
from common.run import CommandError, run
from image.efi.variables import owner_of, sign_variable, signature_list

NAMES = ("PK", "KEK", "db")
RSA_BITS = 2048  # the only size that the UEFI specification requires of firmware
VALID_DAYS = 365 * 20  # firmware has no trusted clock and mostly ignores it
OVMF_DEADLINE_S = 60


def make_keys(folder: Path, owner: str) -> None:
    """Make the keys PK, KEK and db with their certificates. Raises `EfiError` if one exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in NAMES:
            for path in (folder / f"{name}.key", folder / f"{name}.crt"):
                if path.exists():
                    raise EfiError(
                        f"cannot make keys: {path} exists", hint="choose an empty folder"
                    )
        made = {name: make_key(f"{owner} {name}") for name in NAMES}
        for name, (key, certificate) in made.items():
            write_atomic(folder / f"{name}.key", key, 0o600)
            write_atomic(folder / f"{name}.crt", certificate)
    except OSError as error:
        raise EfiError(f"cannot make keys in {folder}: {error.strerror}") from error


def make_key(name: str) -> tuple[bytes, bytes]:
    """Return a new RSA key and its self-signed certificate, both in PEM."""
    key = generate_private_key(65537, RSA_BITS)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, certificate.public_bytes(Encoding.PEM)


def enroll(
    folder: Path, keys: Path, *, platform: str, exchange: str, also: Sequence[Path] = ()
) -> list[Path]:
    """Write the variables to `folder`, each signed (.auth) and as a certificate (.cer).

    `keys` has the three certificates; `platform` and `exchange` name the private keys of PK and
    KEK. db also accepts the certificates `also`. Returns the files. Raises `EfiError`.
    """
    owner = open_signer(platform, keys / "PK.crt")
    signers = {"PK": owner, "KEK": owner, "db": open_signer(exchange, keys / "KEK.crt")}
    certificates = {name: [read_certificate(keys / f"{name}.crt")] for name in NAMES}
    certificates["db"] += map(read_certificate, also)
    files = encode_files(certificates, signers)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomic(folder / name, content)
    except OSError as error:
        raise EfiError(f"cannot write to {folder}: {error.strerror}") from error
    return [folder / name for name in files]


def encode_files(
    certificates: dict[str, list[x509.Certificate]], signers: dict[str, Signer]
) -> dict[str, bytes]:
    """Return the files of all variables, db first: firmware locks itself when PK is set."""
    owner, now = owner_of(certificates["PK"][0]), datetime.datetime.now(datetime.UTC)
    files = {}
    for name in reversed(NAMES):
        content = signature_list(certificates[name], owner)
        files[f"{name}.auth"] = sign_variable(name, content, signers[name], now)
        files[f"{name}.cer"] = certificates[name][0].public_bytes(Encoding.DER)
    return files


def write_ovmf_variables(
    template: Path, output: Path, keys: Path, also: Sequence[Path] = ()
) -> None:
    """Write a copy of OVMF's variables with the keys enrolled and Secure Boot on."""
    find_spec("virt.firmware")  # raises ModuleNotFoundError, which says what to install
    owner = owner_of(read_certificate(keys / "PK.crt"))
    words: list[str | Path] = ["--input", template, "--output", output, "--secure-boot"]
    for option, path in (
        ("--set-pk", keys / "PK.crt"),
        ("--add-kek", keys / "KEK.crt"),
        *(("--add-db", path) for path in (keys / "db.crt", *also)),
    ):
        words += [option, str(owner), path]
    try:
        call = [sys.executable, "-m", "virt.firmware.vars", *words]
        run(call, timeout_s=OVMF_DEADLINE_S)
    except CommandError as error:
        raise EfiError(
            f"cannot enroll the keys in {template}: {error.message}", hint=error.hint
        ) from error
