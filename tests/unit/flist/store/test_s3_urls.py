"""URLs of s3 stores: endpoint, bucket and keys."""

import pytest

from common.errors import UsageError
from flist.store.base import SCHEMES, open_store
from flist.store.s3 import S3BlockStore

S3_SCHEMES = [name for name, module in SCHEMES.items() if module.endswith(".s3")]


def open_s3(url: str) -> S3BlockStore:
    store = open_store(url)
    assert isinstance(store, S3BlockStore)
    return store


@pytest.mark.parametrize(
    ("scheme", "endpoint", "allow_http"),
    [
        ("s3", "http://host.example:9000", "true"),
        ("s3s", "https://host.example:9000", "false"),
        ("s3+tls", "https://host.example:9000", "false"),
        ("s3s+tls", "https://host.example:9000", "false"),
    ],
)
def test_the_scheme_decides_about_tls(scheme: str, endpoint: str, allow_http: str) -> None:
    assert scheme in S3_SCHEMES
    store = open_s3(f"{scheme}://key:secret@host.example:9000/bucket?region=there")
    config = store.bucket.config
    assert config.get("endpoint") == endpoint
    assert config.get("bucket") == "bucket"
    assert config.get("region") == "there"
    assert str((store.bucket.client_options or {}).get("allow_http")) == allow_http
    assert "secret" not in store.shown


def test_every_scheme_is_tested() -> None:
    assert sorted(S3_SCHEMES) == ["s3", "s3+tls", "s3s", "s3s+tls"]


def test_keys_are_decoded_and_other_settings_have_defaults() -> None:
    config = open_s3("s3s://a%2Fb:c%2B%3A%40d@[::1]/bucket/").bucket.config
    assert config.get("access_key_id") == "a/b"
    assert config.get("secret_access_key") == "c+:@d"
    assert config.get("endpoint") == "https://[::1]"
    assert config.get("region") == "us-east-1"
    assert str(config.get("virtual_hosted_style_request")) == "false"


@pytest.mark.parametrize("scheme", S3_SCHEMES)
@pytest.mark.parametrize("rest", ["", "host", "host/", "/bucket", "k:hunter2@host/a/b", "h:x/b"])
def test_urls_without_a_bucket_are_refused(scheme: str, rest: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(f"{scheme}://{rest}")
    assert "hunter2" not in caught.value.message
