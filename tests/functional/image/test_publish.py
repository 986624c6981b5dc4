"""Publishing for real: processes that are killed or run at once, tokens, the command line."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from image.channel.commit import KeysMissingError
from image.cli import main
from image.errors import ImageError
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool
from tests.helpers.releases.store import Maintainer, write_core, write_release

DEADLINE_S = 240
MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "1234"

# Makes an ECDSA key in the token "Release keys" with the id 2.
MAKE_TOKEN_KEY = """
import sys, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
token = pkcs11.lib(sys.argv[1]).get_token(token_label="Release keys")
curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
with token.open(user_pin=sys.argv[2], rw=True) as session:
    parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    parameters.generate_keypair(store=True, label="prod", id=bytes([2]))
"""


def zos(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `zos image`."""
    return subprocess.run(
        [sys.executable, "-m", "zero_os", "image", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=TOP,
        env={**os.environ, **environment},
    )


def test_a_change_that_is_killed_at_any_write(tmp_path: Path) -> None:
    """Clients see the state before or after, and the change can be made again."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.releases.crash", tmp_path],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        cwd=TOP,
    )
    assert done.returncode == 0, done.stderr
    points = dict(line.split(": ") for line in done.stdout.splitlines())
    assert int(points["publish"]) >= 14  # files, manifest, history, metadata: two moments each
    assert len(points) == 7


def test_publishers_at_once(tmp_path: Path) -> None:
    """They wait for one another; each publishes or says why not, and no change is lost."""
    maintainer = Maintainer.begin(tmp_path)
    wanted = [("dev", "1.0"), ("dev", "1.1"), ("qa", "2.0"), ("prod", "3.0"), ("dev", "1.0")]
    running = []
    for number, (channel, version) in enumerate(wanted):
        folder = write_release(tmp_path / f"r{number}", version)
        call: list[str | Path] = ["publish", tmp_path / "store", "--channel", channel]
        call += ["--release", folder, "--keys", tmp_path / "keys"]
        running.append(
            subprocess.Popen(
                [sys.executable, "-m", "zero_os", "image", *call],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=TOP,
            )
        )
    ends = [(one.communicate(timeout=DEADLINE_S), one.returncode) for one in running]
    failures = [texts[1] for texts, status in ends if status != 0]
    assert len(failures) == 1, ends  # one of the two 1.0 comes second
    assert "1.0" in failures[0]
    held = {entry.release for entry in maintainer.open().entries("dev")}
    assert held == {"1.0", "1.1"}
    assert maintainer.read("qa").release == "2.0"
    assert maintainer.read("prod").release == "3.0"
    checked = zos("verify", tmp_path / "store", "--keys", tmp_path / "keys" / "root.json")
    assert checked.returncode == 0, checked.stdout


def test_a_channel_whose_key_is_in_a_token(tmp_path: Path) -> None:
    need_tool("softhsm2-util")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "conf").write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n")
    environment = {"SOFTHSM2_CONF": str(tmp_path / "conf"), "ZOS_PKCS11_PIN": PIN}
    label = ["--label", "Release keys", "--pin", PIN, "--so-pin", "5678"]
    for prepare in (
        ["softhsm2-util", "--init-token", "--free", *label],
        [sys.executable, "-c", MAKE_TOKEN_KEY, MODULE, PIN],
    ):
        subprocess.run(
            prepare,
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
            env={**os.environ, **environment},
        )
    keys, store = tmp_path / "keys", tmp_path / "store"
    keys.mkdir()
    uri = keys / "prod.uri"
    uri.write_text(f"pkcs11:token=Release%20keys;id=%02?module-path={MODULE}\n")
    uri.chmod(0o600)
    made = zos("keys", "init", store, "--keys", keys, **environment)
    assert made.returncode == 0, made.stderr
    listed = zos("keys", "list", store, "--json")
    schemes = {row["role"]: row["scheme"] for row in json.loads(listed.stdout)}
    assert (schemes["prod"], schemes["dev"]) == ("ecdsa-sha2-nistp256", "ed25519")
    release = write_release(tmp_path / "release", "1.0")
    call: list[str | Path] = ["publish", store, "--channel", "prod", "--release", release]
    call += ["--keys", keys]
    wrong = zos(*call, **{**environment, "ZOS_PKCS11_PIN": "0000"})
    assert wrong.returncode == 1
    assert "cannot sign with the key" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    done = zos(*call, **environment)
    assert done.returncode == 0, done.stderr
    assert zos("verify", store, "--keys", keys).returncode == 0  # public keys need no token


def test_the_page_word_for_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands of docs/publishing.md, one after the other; only the builds are ours."""
    page = (TOP / "docs/publishing.md").read_text()
    lines = re.findall(r"^    \./zos image ((?!.*://boot.example).*)$", page, re.MULTILINE)
    assert len(lines) >= 20
    monkeypatch.chdir(tmp_path)
    write_core(tmp_path / "core-flist")
    versions, waiting = iter(("1.0", "1.1")), []
    told: dict[str, str] = {}
    for line in lines:
        if line.startswith("build "):
            write_release(tmp_path / "release", next(versions))
            continue
        try:
            assert main(shlex.split(line), "zos image") == 0, line
        except KeysMissingError as error:
            waiting.append(str(error))
        told[line.split()[0]] = capsys.readouterr().out
    assert waiting == ["rotate the keys of prod: 1 of 2 signatures of prod"]
    assert re.search(r"^prod +1\.0 .*\n +withdrawn 1\.1: CVE-2030-1$", status(capsys), re.MULTILINE)
    actions = [line.split()[3] for line in told["history"].splitlines()]
    assert actions == ["promote", "promote", "rollback", "withdraw"]
    assert "hangs with two cards" in told["history"]
    assert told["verify"].endswith("all is good\n")
    assert told["gc"].startswith("removed ")


def status(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what `status` prints for the store in the current folder."""
    assert main(["status", "store"], "zos image") == 0
    assert main(["status", "store", "--json"], "zos image") == 0
    text, _, value = capsys.readouterr().out.partition("{")
    assert json.loads("{" + value)["waiting"] is None
    return text


def test_a_second_init_makes_no_keys(tmp_path: Path) -> None:
    Maintainer.begin(tmp_path)
    with pytest.raises(ImageError, match="has its channels already"):
        main(["keys", "init", str(tmp_path / "store"), "--keys", str(tmp_path / "o")], "zos image")
    assert not (tmp_path / "o").exists()


def test_what_needs_a_folder_refuses_an_address(tmp_path: Path) -> None:
    for call in (["gc", "https://boot.example"], ["keys", "init", "https://boot.example"]):
        words = [*call, "--keys", str(tmp_path)] if "init" in call else call
        with pytest.raises(ImageError, match="needs the folder of a store"):
            main(words, "zos image")
