"""Images in a registry, through the OCI distribution API.

Credentials go to the registry itself, or to the token service that it names in a challenge, and
nowhere else: not where a blob is redirected to, and from TLS never to plain HTTP.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import urlencode

from urllib3.exceptions import HTTPError

from flist.oci.digest import Digest, parse_digest
from flist.oci.errors import ImageError
from flist.oci.image import Image, check_blob, new_spool, printable, select_image
from flist.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    MAX_MANIFEST_BYTES,
    SCHEMA_1,
    Descriptor,
    parse_json,
    refuse_schema_1,
)
from flist.oci.platform import Platform
from flist.oci.source.auth import Challenge, Credentials, is_token, parse_challenges
from flist.oci.source.reference import Reference
from flist.oci.source.web import BrokenTransferError, Response, Web, origin, read_limited

ACCEPT = ", ".join(sorted(MANIFEST_TYPES | INDEX_TYPES))
AGENT = "zero-os"
MAX_ANSWER_BYTES = 1 << 20
BLOB_TRIES = 4
PIECE_BYTES = 256 << 10


class Registry:
    """One repository of one registry."""

    def __init__(self, reference: Reference, credentials: Credentials, web: Web) -> None:
        self.reference = reference
        self.credentials = credentials
        self.web = web
        scheme = "http" if web.is_insecure else "https"
        self.base = f"{scheme}://{reference.endpoint}/v2/{reference.repository}"
        token = credentials.registry_token
        self.secret = f"Bearer {token}" if token else ""

    def find(self, platform: Platform | None) -> Image:
        """Return the image that the reference names."""
        data, media_type, digest = self.get_manifest(self.reference.target)
        if self.reference.digest and digest != self.reference.digest:
            digest = self.reference.digest  # the same bytes under another algorithm
            if not digest.matches(data):
                raise ImageError(f"the image is refused: {digest} has other content")
        return select_image(self, data, media_type, digest, platform)

    def get_manifest(self, target: str) -> tuple[bytes, str, Digest]:
        """Return the bytes, the type and the digest of the manifest at a tag or digest."""
        with self.get(f"/manifests/{target}", {"Accept": ACCEPT}) as response:
            self.demand(response, (200,), f"{self.reference}")
            data = read_limited(response, MAX_MANIFEST_BYTES, "the manifest")
            said = response.headers.get("Docker-Content-Digest")
            media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        if media_type.startswith(SCHEMA_1):
            refuse_schema_1(media_type)
        digest = Digest("sha256", hashlib.sha256(data).hexdigest())
        if said and not parse_digest(said).matches(data):
            raise ImageError("the image is refused: its manifest is not what the registry says")
        return data, media_type, digest

    def read_manifest(self, descriptor: Descriptor) -> bytes:
        """Return the manifest that an index names."""
        data, _, _ = self.get_manifest(str(descriptor.digest))
        if len(data) != descriptor.size or not descriptor.digest.matches(data):
            raise ImageError(f"the image is refused: {descriptor.digest} has other content")
        return data

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Fetch a blob into a temporary file; a transfer that breaks off is continued."""
        spool = new_spool()
        with contextlib.ExitStack() as on_error:
            on_error.callback(spool.close)
            done = 0
            for attempt in range(1, BLOB_TRIES + 1):
                try:
                    done = self.fetch_part(descriptor, spool, done)
                except BrokenTransferError:
                    done = spool.tell()
                    if attempt == BLOB_TRIES:
                        raise
                else:
                    break
            spool.seek(0)
            hasher = descriptor.digest.hasher()
            while piece := spool.read(PIECE_BYTES):
                hasher.update(piece)
            check_blob(descriptor, done, hasher.hexdigest())
            spool.seek(0)
            on_error.pop_all()
        return spool

    def fetch_part(self, descriptor: Descriptor, spool: BinaryIO, done: int) -> int:
        """Fetch a blob from byte `done` on; return how many bytes there are then."""
        headers = {"Range": f"bytes={done}-"} if done else {}
        with self.get(f"/blobs/{descriptor.digest}", headers) as response:
            self.demand(response, (200, 206) if done else (200,), str(descriptor.digest))
            if response.status == 206:
                if not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
                    raise ImageError(f"cannot fetch {descriptor.digest}: a wrong range came")
            else:
                done = 0
            spool.seek(done)
            spool.truncate()
            for piece in response.stream(PIECE_BYTES, decode_content=False):
                done += len(piece)
                if done > descriptor.size:
                    raise ImageError(
                        f"the image is refused: {descriptor.digest} has more bytes"
                        f" than {descriptor.size}"
                    )
                spool.write(piece)
        return done

    @contextlib.contextmanager
    def get(self, path: str, headers: dict[str, str]) -> Iterator[Response]:
        """Give the answer to a GET below the repository, authenticated if the registry asks."""
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
        url = self.base + path
        with self.web.get(url, headers, self.secret) as (response, is_home):
            if response.status != 401 or not is_home:
                yield response
                return
            challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
            read_limited(response, MAX_ANSWER_BYTES, "the registry's answer")
        self.secret = self.answer(challenges)
        with self.web.get(url, headers, self.secret) as (response, _):
            yield response

    def answer(self, challenges: list[Challenge]) -> str:
        """Return the value of the Authorization header that meets one of the challenges."""
        by_scheme = {challenge.scheme: challenge for challenge in challenges}
        if "bearer" in by_scheme and not self.credentials.registry_token:
            return "Bearer " + self.get_token(by_scheme["bearer"])
        if "basic" in by_scheme and self.credentials.basic:
            return self.credentials.basic
        raise self.denied("it wants credentials")

    def get_token(self, challenge: Challenge) -> str:
        """Return a token from the service that the registry names, for pulling and nothing else."""
        realm = challenge.parameters.get("realm", "")
        if origin(realm).scheme == "http" and origin(self.base).scheme == "https":
            raise ImageError("cannot authenticate: the token service speaks plain HTTP")
        form = {"scope": f"repository:{self.reference.repository}:pull"}
        if service := challenge.parameters.get("service"):
            form["service"] = service
        headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
        if self.credentials.identity_token:
            form |= {"grant_type": "refresh_token", "client_id": AGENT}
            form["refresh_token"] = self.credentials.identity_token
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            sending = self.web.send("POST", realm, headers, urlencode(form).encode())
        else:
            if self.credentials.basic:
                headers["Authorization"] = self.credentials.basic
            joint = "&" if "?" in realm else "?"
            sending = self.web.send("GET", realm + joint + urlencode(form), headers)
        with sending as response:  # a redirect is not followed: it would need the secret
            if response.status in (400, 401, 403):
                raise self.denied("its token service refuses the credentials")
            self.demand(response, (200,), "a token")
            answer = read_limited(response, MAX_ANSWER_BYTES, "the token")
        value = parse_json(answer, "the token service's answer")
        token = value.get("token") or value.get("access_token")
        if not isinstance(token, str) or not is_token(token) or not token:
            raise ImageError("cannot authenticate: the token service gave no token")
        return token

    def demand(self, response: Response, statuses: tuple[int, ...], what: str) -> None:
        """Raise what a person can use unless the answer has one of `statuses`."""
        if response.status in statuses:
            return
        if response.status in (401, 403):
            raise self.denied(read_reason(response) or "it refuses the credentials")
        if response.status == 404:
            raise ImageError(f"cannot find {what} at {self.reference.registry}")
        reason = read_reason(response)
        said = f"{self.reference.registry} answered {response.status} {reason}"
        raise ImageError(f"cannot get {what}: {said.strip()}")

    def denied(self, reason: str) -> ImageError:
        """Return the error for an image that may not be had."""
        return ImageError(
            f"cannot pull {self.reference}: {reason}",
            hint="--username and --password, or a token, for this registry; is the name right?",
        )


def read_reason(response: Response) -> str:
    """Return the messages in a registry's error."""
    try:
        value = json.loads(read_limited(response, 64 << 10, "the answer"))
        found = [str(error.get("message") or error.get("code")) for error in value["errors"]]
    except (ImageError, HTTPError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return printable("; ".join(found))
