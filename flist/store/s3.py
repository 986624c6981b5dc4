"""The `s3` and `s3s` (TLS) stores: any S3-compatible server, objects named by hex.

    s3://ACCESS:SECRET@host:port/bucket?region=REGION

Upstream's `s3+tls` and `s3s+tls` are supported, too. Both keys are percent-decoded.
"""

import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from common.errors import UsageError
from flist.errors import BlockError, BlockMissingError, StoreError, StoreUnavailableError
from flist.model import MAX_BLOCK_BYTES
from flist.store.base import BLOCK_NAME, Stored

DEFAULT_REGION = "us-east-1"
TIMEOUT = "20s"
BUSY = (408, 429)  # of the 4xx, only these are temporary
STATUS = re.compile(r"non-2xx status code: (\d+)")
CODE = re.compile(r"<Code>(\w+)</Code>")
MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
DISTRUST = re.compile(r"InvalidCertificate\(\s*(\w+)")
SECURE = ("s3s", "s3+tls", "s3s+tls")


class S3BlockStore:
    """Blocks in a bucket."""

    def __init__(self, bucket: S3Store, shown: str) -> None:
        self.bucket = bucket
        self.shown = shown
        self.max_bytes = MAX_BLOCK_BYTES

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        name = block_id.hex()
        try:
            answer = obstore.get(self.bucket, name)
            if answer.meta["size"] > self.max_bytes:
                raise BlockError(f"block {name} is refused: it has {answer.meta['size']} bytes")
            return bytes(answer.bytes())
        except FileNotFoundError as error:
            if is_bucket_missing(error):
                raise self.refuse(error) from error
            raise BlockMissingError(
                f"cannot read block {name}: it is not in {self.shown}"
            ) from error
        except (BaseError, OSError) as error:
            raise self.refuse(error) from error

    def has(self, block_id: bytes) -> bool:
        """Return whether the block is there."""
        try:
            obstore.head(self.bucket, block_id.hex())
        except FileNotFoundError:
            return False
        except (BaseError, OSError) as error:
            raise self.refuse(error) from error
        return True

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block."""
        try:
            obstore.put(self.bucket, block_id.hex(), data)
        except (BaseError, OSError) as error:
            raise self.refuse(error) from error

    def remove(self, block_id: bytes) -> None:
        """Remove a block."""
        try:
            obstore.delete(self.bucket, block_id.hex())
        except FileNotFoundError as error:
            if is_bucket_missing(error):
                raise self.refuse(error) from error
        except (BaseError, OSError) as error:
            raise self.refuse(error) from error

    def stored(self) -> Iterator[Stored]:
        """Yield all blocks of the bucket."""
        try:
            for rows in obstore.list(self.bucket, chunk_size=1000):
                for row in rows:
                    if BLOCK_NAME.fullmatch(row["path"]):
                        changed_s = row["last_modified"].timestamp()
                        yield Stored(bytes.fromhex(row["path"]), row["size"], changed_s)
        except (BaseError, OSError) as error:
            raise self.refuse(error) from error

    def refuse(self, error: Exception) -> StoreError:
        """Return the error for what went wrong; everything but a refusal may be temporary."""
        text = f"cannot use {self.shown}: {reason_of(error)}"
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError, PermissionError)):
            return StoreError(text, hint="check the access key and its secret")
        if distrust := DISTRUST.search(str(error)):
            return StoreError(
                f"cannot trust {self.shown}: its certificate is refused ({distrust[1]})",
                hint="SSL_CERT_FILE names a file of authorities",
            )
        if isinstance(error, FileNotFoundError):
            return StoreError(text, hint="make the bucket first, or check its name")
        status = STATUS.search(str(error))
        if status and 400 <= int(status[1]) < 500 and int(status[1]) not in BUSY:
            return StoreError(text, hint="check the bucket's name and ?region=")
        return StoreUnavailableError(text)

    def flush(self) -> None:
        """Do nothing: the server decides when it writes to disk."""

    def close(self) -> None:
        """Do nothing: the library owns the connections."""


def reason_of(error: Exception) -> str:
    """Return the server's message, or else the library's, on one line."""
    text = error.args[0] if error.args and isinstance(error.args[0], str) else str(error)
    if message := MESSAGE.search(text):
        return message[1].rstrip(".")
    lines = text.splitlines() or [type(error).__name__]
    return lines[0].removeprefix("Generic S3 error: ")


def is_bucket_missing(error: Exception) -> bool:
    """Return whether the bucket is missing, not only the object."""
    code = CODE.search(str(error))
    return code is not None and code[1] == "NoSuchBucket"


def open_store(url: str) -> S3BlockStore:
    """Return the store at `url`."""
    parts = urlsplit(url)
    bucket = parts.path.strip("/")
    if not parts.hostname or not bucket or "/" in bucket:
        raise UsageError(
            f"cannot open store {url!r}: it names no host or bucket",
            hint="s3://KEY:SECRET@host:port/bucket",
        )
    is_secure = parts.scheme in SECURE
    host = parts.netloc.rpartition("@")[2]
    store = S3Store(
        bucket,
        endpoint=f"{'https' if is_secure else 'http'}://{host}",
        access_key_id=unquote(parts.username or ""),
        secret_access_key=unquote(parts.password or ""),
        region=parse_qs(parts.query).get("region", [DEFAULT_REGION])[0] or DEFAULT_REGION,
        virtual_hosted_style_request=False,
        client_options={"allow_http": not is_secure, "timeout": TIMEOUT, "connect_timeout": "5s"},
        retry_config={"max_retries": 0},
    )
    return S3BlockStore(store, f"s3://{host}/{bucket}")
