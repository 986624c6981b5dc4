"""What is asked of apt, and what is taken from its answers."""

import pytest

from common.debian import resolve
from common.debian.lock import LockError
from common.debian.resolve import network_settings, read_stanza, source_lines

STANZA = """\
Package: libzstd1
Source: libzstd (1.5.7-1)
Version: 1.5.7+dfsg-1+b1
Architecture: amd64
Depends: libc6 (>= 2.34)
Description: a library
 Filename: not this
Filename: pool/main/libz/libzstd/libzstd1_1.5.7+dfsg-1+b1_amd64.deb
Size: 304140
SHA256: 9b894973cee72ed70062492ef177bb5e9b894973cee72ed70062492ef177bb5e
"""


def test_a_stanza_of_a_package_list_is_a_package() -> None:
    row = read_stanza(STANZA)
    assert (row.name, row.version, row.source) == ("libzstd1", "1.5.7+dfsg-1+b1", "libzstd")
    assert row.path.startswith("pool/main/libz/")
    assert (row.size, row.sha256[:4]) == (304140, "9b89")
    assert read_stanza(STANZA.replace("Source: libzstd (1.5.7-1)\n", "")).source == "libzstd1"


@pytest.mark.parametrize("key", ["Package", "Filename", "Size", "SHA256", "Version"])
def test_a_package_without_a_hash_or_the_like_is_refused(key: str) -> None:
    lines = [line for line in STANZA.splitlines() if not line.startswith(key)]
    with pytest.raises(LockError, match="Debian's package list"):
        read_stanza("\n".join(lines))


def test_stable_has_updates_and_security_and_testing_has_neither() -> None:
    words = [line.split() for line in source_lines("trixie", ["main", "non-free-firmware"])]
    assert [word[3] for word in words] == ["trixie", "trixie-updates", "trixie-security"]
    assert all(word[4:] == ["main", "non-free-firmware"] for word in words)
    assert all(word[1].startswith("[signed-by=/usr/share/keyrings/") for word in words)
    assert [line.split()[3] for line in source_lines("forky", ["main"])] == ["forky"]


def test_only_the_hosts_settings_of_the_network_count(monkeypatch: pytest.MonkeyPatch) -> None:
    dump = b"""\
Acquire::http::Proxy "http://proxy:3128";
Acquire::https::CaInfo "/etc/ca.pem";
Acquire::Retries "5";
Acquire::AllowInsecureRepositories "1";
Acquire::Languages:: "de";
APT::Update::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";
Dir::State "/var/lib/apt";
"""
    monkeypatch.setattr(resolve, "run", lambda *_, **__: dump)
    assert list(network_settings()) == [f"{line}\n" for line in dump.decode().splitlines()[:3]]
