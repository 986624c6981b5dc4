"""What a maintainer does to channels, as clients and the history see it."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from securesystemslib.signer import CryptoSigner

from common.errors import ZosError
from common.releases.waves import Waves
from image.channel.actions import Reason, promote, publish, withdraw
from image.channel.garbage import collect
from image.channel.history import parse_history
from image.channel.keys import initialise, make_keys
from image.channel.repository import open_repository
from image.channel.roles import CHANNELS
from image.errors import ImageError
from image.release.store import demand_release, hold_store, list_releases
from tests.helpers.releases.clients import Ours
from tests.helpers.releases.store import DAY_S, Maintainer

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def maintainer(tmp_path: Path) -> Maintainer:
    return Maintainer.begin(tmp_path)


def test_new_channels_hold_nothing(maintainer: Maintainer) -> None:
    for name in CHANNELS:
        channel = maintainer.read(name)
        assert (channel.release, channel.sequence, dict(channel.files)) == ("", 1, {})


def test_a_release_goes_from_channel_to_channel(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.promote("dev", "test")
    maintainer.promote("test", "prod")
    for name in ("dev", "test", "prod"):
        channel = maintainer.read(name)
        assert (channel.release, sorted(channel.files)) == ("1.0", ["initramfs.zst", "vmlinuz"])
    assert maintainer.read("qa").release == ""


def test_nothing_is_published_twice_or_backwards(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    with pytest.raises(ImageError, match=r"dev holds 1\.0 already"):
        maintainer.publish("dev", "1.0")
    maintainer.publish("dev", "1.1")
    with pytest.raises(ImageError, match="held it before") as caught:
        maintainer.publish("dev", "1.0")
    assert caught.value.hint == "zos image rollback dev 1.0"
    with pytest.raises(ImageError, match="qa: it holds no release"):
        maintainer.promote("qa", "prod")


def test_a_roll_back_has_a_higher_sequence(maintainer: Maintainer) -> None:
    client = Ours(maintainer.root)
    for version in ("1.0", "1.1", "1.2"):
        maintainer.publish("dev", version)
    assert client.update(maintainer.files(), "dev", maintainer.now).sequence == 4
    maintainer.rollback("dev")
    found = client.update(maintainer.files(), "dev", maintainer.now)
    assert (found.release, found.sequence) == ("1.1", 5)
    maintainer.rollback("dev")
    assert maintainer.read("dev").release == "1.0"
    with pytest.raises(ImageError, match="no other release before"):
        maintainer.rollback("dev")
    maintainer.rollback("dev", "1.2")  # the roll-back was a mistake
    assert maintainer.read("dev").release == "1.2"
    with pytest.raises(ImageError, match="it never held it"):
        maintainer.rollback("dev", "0.9")
    with pytest.raises(ImageError, match="it holds it"):
        maintainer.rollback("dev", "1.2")


def test_a_withdrawn_release_leaves_all_channels_for_good(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.publish("dev", "1.1")
    maintainer.promote("dev", "prod")
    maintainer.withdraw("1.1")
    dev, prod = maintainer.read("dev"), maintainer.read("prod")
    assert (dev.release, prod.release) == ("1.0", "")
    assert dict(dev.withdrawn) == dict(prod.withdrawn) == {"1.1": "a hole"}
    attempts: list[Callable[[], object]] = [
        lambda: maintainer.publish("qa", "1.1"),
        lambda: maintainer.rollback("dev", "1.1"),
        lambda: maintainer.withdraw("1.1"),
        lambda: maintainer.withdraw("7.7"),
    ]
    for attempt in attempts:
        with pytest.raises(ImageError, match=r"withdrawn"):
            attempt()


def test_withdrawing_an_earlier_release_changes_nothing_else(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.publish("dev", "1.1")
    maintainer.withdraw("1.0")
    assert maintainer.read("dev").release == "1.1"
    with pytest.raises(ImageError, match="no other release before"):
        maintainer.rollback("dev")


def test_withdrawing_never_brings_back_what_was_rolled_back(maintainer: Maintainer) -> None:
    for version in ("1.0", "1.1", "1.2"):
        maintainer.publish("dev", version)
    maintainer.rollback("dev", "1.1")
    maintainer.withdraw("1.1")
    assert maintainer.read("dev").release == "1.0"


def test_several_channels_change_in_one_step(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.promote("dev", "prod")
    repository = maintainer.open()
    change = withdraw(repository, "1.0", CHANNELS, maintainer.reason("a hole"))
    assert sorted(change.targets) == ["dev", "prod"]


@pytest.mark.parametrize("fields", [{"debug": True}, {"locked": False}])
def test_production_refuses_what_others_take(
    maintainer: Maintainer, fields: dict[str, bool]
) -> None:
    maintainer.publish("dev", "1.0", **fields)
    with pytest.raises(ZosError, match="production channel"):
        maintainer.promote("dev", "prod")
    assert maintainer.read("prod").release == ""


def test_the_history_says_who_when_what_and_why(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.publish("dev", "1.1")
    maintainer.rollback("dev")
    maintainer.withdraw("1.1")
    maintainer.promote("dev", "prod")
    entries = maintainer.open().entries("dev")
    told = [(it.action, it.subject, it.release, it.why) for it in entries]
    assert told == [
        ("publish", "1.0", "1.0", ""),
        ("publish", "1.1", "1.1", ""),
        ("rollback", "1.0", "1.0", "it hangs"),
        ("withdraw", "1.1", "1.0", "a hole"),
    ]
    assert {it.by for it in entries} == {"somebody@test"}
    assert [it.sequence for it in entries] == [2, 3, 4, 5]
    assert maintainer.open().entries("prod")[0].source == "dev"


def test_a_history_that_was_rewritten_is_noticed(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.publish("dev", "1.1")
    data = maintainer.open().history("dev")
    lines = data.splitlines(keepends=True)
    for broken in (lines[1], data.replace(b"publish", b"promote", 1), lines[0] * 2, b"{}\n"):
        with pytest.raises(ImageError, match="dev"):
            parse_history(broken, "dev")


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2J", "x" * 1001])
def test_a_reason_is_one_printable_line(text: str) -> None:
    with pytest.raises(ImageError, match="history"):
        Reason("me", 0.0, text)


def test_a_channel_that_has_expired_is_renewed(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.now += 400 * DAY_S
    maintainer.renew("prod")  # dev has expired, which is no matter of prod
    with pytest.raises(ZosError, match=r"dev\.json has expired"):
        maintainer.read("dev")
    maintainer.renew("dev")
    assert maintainer.read("dev").release == "1.0"
    assert maintainer.read("dev").sequence == 3


def test_everything_that_has_expired_is_renewed(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    maintainer.now += 3660 * DAY_S
    with pytest.raises(ZosError, match="the root has expired"):
        maintainer.publish("dev", "1.1")
    maintainer.renew("root", "targets", *CHANNELS)
    maintainer.publish("dev", "1.1")
    assert maintainer.read("dev").release == "1.1"


def test_a_publisher_whose_clock_is_ten_years_behind(maintainer: Maintainer) -> None:
    before = maintainer.files()
    maintainer.now -= 3660 * DAY_S
    with pytest.raises(ImageError, match="cannot sign dev") as caught:
        maintainer.publish("dev", "1.0")
    assert "clock" in (caught.value.hint or "")
    assert maintainer.files() == before


def test_a_publisher_whose_clock_was_ahead(maintainer: Maintainer) -> None:
    """What it signed is valid for too long; others say so, and can put it right."""
    maintainer.now += 300 * DAY_S
    maintainer.publish("dev", "1.0")
    maintainer.now -= 300 * DAY_S
    with pytest.raises(ImageError, match="cannot sign dev") as caught:
        maintainer.publish("dev", "1.1")
    assert "renew --force --role dev" in (caught.value.hint or "")
    with pytest.raises(ImageError, match="cannot sign snapshot"):
        maintainer.publish("prod", "1.1")
    maintainer.renew("dev", is_forced=True)
    assert maintainer.read("dev").expires < maintainer.now + 15 * DAY_S
    maintainer.publish("dev", "1.2")
    assert maintainer.read("dev").sequence == 4


def test_garbage_leaves_what_channels_need(maintainer: Maintainer) -> None:
    for version in ("1.0", "1.1", "1.2", "1.3"):
        maintainer.publish("dev", version)
    maintainer.promote("dev", "prod")
    maintainer.add("2.0")  # was never published
    with hold_store(maintainer.layout, "a test"):
        collect(maintainer.open(), keep=1)
    assert sorted(list_releases(maintainer.layout)) == ["1.2", "1.3"]
    demand_release(maintainer.layout, "1.2")
    maintainer.rollback("dev")
    assert maintainer.read("dev").release == "1.2"
    with pytest.raises(ImageError, match="the store no longer has it"):
        maintainer.rollback("dev", "1.0")


def test_a_release_that_was_lost_is_not_published(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    channel = maintainer.read("dev")
    maintainer.layout.blob(channel.files["vmlinuz"].sha256).write_bytes(b"damaged")
    with pytest.raises(ImageError, match="has lost vmlinuz"):
        maintainer.promote("dev", "prod")


def test_a_store_without_channels(tmp_path: Path) -> None:
    maintainer = Maintainer.begin(tmp_path / "a")
    with pytest.raises(ImageError, match="has no channels"):
        open_repository(type(maintainer.layout)(tmp_path / "empty"))
    with pytest.raises(ImageError, match="has its channels already"):
        keys = make_keys(tmp_path / "a" / "keys", is_encrypted=False)
        initialise(maintainer.layout, keys, maintainer.now)


def test_a_repository_of_others_is_refused(tmp_path: Path) -> None:
    ours, theirs = Maintainer.begin(tmp_path / "a"), Maintainer.begin(tmp_path / "b")
    with pytest.raises(ZosError, match="signed by 0 of its keys"):
        open_repository(theirs.layout, ours.root)


def test_a_stranger_s_key_publishes_nothing(maintainer: Maintainer) -> None:
    maintainer.add("1.0")
    before = maintainer.files()
    stranger = CryptoSigner.generate_ed25519()
    with pytest.raises(ZosError, match="0 of 1 signatures of dev"):
        maintainer.change(
            lambda it: publish(it, "dev", "1.0", maintainer.reason()),
            {stranger.public_key.keyid: stranger},
        )
    assert maintainer.files() == before


def test_a_release_is_given_to_farms_in_waves(maintainer: Maintainer) -> None:
    waves = Waves(int(maintainer.now), ((100_000, 0), (1_000_000, 60)))
    maintainer.publish("dev", "1.0")
    assert maintainer.read("dev").waves is None
    version = maintainer.add("1.1")
    maintainer.change(lambda it: publish(it, "dev", version, maintainer.reason(), waves))
    assert maintainer.read("dev").waves == waves
    maintainer.change(lambda it: promote(it, "dev", "prod", maintainer.reason(), waves))
    assert maintainer.read("prod").waves == waves
    repository = maintainer.open()
    assert [entry.waves for entry in repository.entries("dev")] == ["", "10%@0s 100%@60s"]
    assert b"waves" not in repository.history("dev").splitlines()[0]

    maintainer.withdraw("1.0", "dev")
    assert maintainer.read("dev").waves == waves  # what it holds has not changed
    maintainer.renew("dev")
    assert maintainer.read("dev").waves == waves


def test_a_roll_back_is_for_all_farms_at_once(maintainer: Maintainer) -> None:
    maintainer.publish("dev", "1.0")
    version = maintainer.add("1.1")
    waves = Waves(int(maintainer.now), ((100_000, 0), (1_000_000, 60)))
    maintainer.change(lambda it: publish(it, "dev", version, maintainer.reason(), waves))
    maintainer.rollback("dev")
    assert maintainer.read("dev").waves is None
