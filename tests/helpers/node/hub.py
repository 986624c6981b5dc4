"""A plain hub folder with one signed flist, of any bytes: a signature is checked before parsing."""

from pathlib import Path

from flist.format.signing.keys import generate_key, load_private_key
from flist.format.signing.sign import sign_flist


def make_signed_hub(folder: Path, name: str, content: bytes, key: Path | None = None) -> Path:
    """Make `folder/hub`, and the key `folder/key` unless there is one; return the hub's folder."""
    flist = folder / "hub" / "flists" / f"{name}.fl"
    flist.parent.mkdir(parents=True)
    (folder / "hub" / "blocks").mkdir()
    flist.write_bytes(content)
    private = load_private_key(key) if key else generate_key(folder / "key")
    flist.with_suffix(".fl.sig").write_text(sign_flist(flist, name, private))
    return folder / "hub"


def read_keys(hub: Path) -> list[bytes]:
    """Return the public key that signed the flist of `make_signed_hub`."""
    return [load_private_key(hub.parent / "key").public_key().public_bytes_raw()]
