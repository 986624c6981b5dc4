"""Signs metadata as somebody who has stolen a key would: any content, valid signatures."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from common.tuf.canonical import encode_canonical

Value = dict[str, Any]


def load(files: dict[str, bytes], name: str) -> Value:
    """Return the signed part of a file."""
    signed: Value = json.loads(files[name])["signed"]
    return signed


def sign(signed: Value, signers: Iterable[Any]) -> bytes:
    """Return a file with this signed part."""
    payload = encode_canonical(signed)
    signatures = [
        {"keyid": signer.public_key.keyid, "sig": signer.sign(payload).signature}
        for signer in signers
    ]
    return json.dumps({"signatures": signatures, "signed": signed}).encode()


def info_of(signed: Value, data: bytes) -> Value:
    """Return what other metadata says of a file."""
    return {
        "version": signed["version"],
        "length": len(data),
        "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
    }


def newest(files: dict[str, bytes], role: str) -> str:
    """Return the name of a role's highest version."""
    names = [name for name in files if name.endswith(f".{role}.json")]
    return max(names, key=lambda name: int(name.partition(".")[0]))


def replace(
    files: dict[str, bytes],
    role: str,
    signed: Value,
    signers: Iterable[Any],
    snapshot: Any,
    timestamp: Any,
) -> dict[str, bytes]:
    """Return the files with a channel's or the targets' metadata replaced and sealed."""
    data = sign(signed, signers)
    result = {**files, f"{signed['version']}.{role}.json": data}
    shot = load(files, newest(files, "snapshot"))
    shot["meta"][f"{role}.json"] = info_of(signed, data)
    return reseal(result, shot, snapshot, timestamp)


def reseal(files: dict[str, bytes], shot: Value, snapshot: Any, timestamp: Any) -> dict[str, bytes]:
    """Return the files with the next snapshot and timestamp, signed by stolen keys."""
    shot["version"] += 1
    data = sign(shot, [snapshot])
    stamp = load(files, "timestamp.json")
    stamp["version"] += 1
    stamp["meta"]["snapshot.json"] = info_of(shot, data)
    return {
        **files,
        f"{shot['version']}.snapshot.json": data,
        "timestamp.json": sign(stamp, [timestamp]),
    }
