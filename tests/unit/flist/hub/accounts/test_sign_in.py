"""Signing in by password and by key, and how often one may try."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flist.hub.accounts.challenge import VALID_S
from flist.hub.accounts.limits import (
    KNOWN_S,
    MAX_NETWORKS,
    PER_ACCOUNT_BURST,
    PER_ACCOUNT_PER_MINUTE,
)
from flist.hub.accounts.signin import PAGES, Wish
from flist.hub.errors import InvalidError, NotSignedInError
from flist.hub.state.viewer import SCOPES
from flist.server.signin import signed_message
from serving.rates import TooManyRequestsError
from tests.helpers.flist.desk import PASSWORD, Desk

HOME, HOST = "192.0.2.1", "hub.example"


def enter(desk: Desk, name: str, password: str = PASSWORD, address: str = HOME) -> str:
    """Sign in by password."""
    return desk.sign_ins.by_password(name, password, address, Wish())


def fails(desk: Desk, name: str, address: str) -> type[Exception]:
    """Try a wrong password; return how it was refused."""
    with pytest.raises((NotSignedInError, TooManyRequestsError)) as caught:
        enter(desk, name, "a wrong one", address)
    return caught.type


def strangers(count: int) -> list[str]:
    """Return addresses of many networks."""
    return [f"198.51.{number // 250}.{number % 250}" for number in range(count)]


def test_a_password_gives_a_session() -> None:
    desk = Desk()
    viewer = desk.tokens.find_viewer(enter(desk, "alice"))
    assert viewer.name == "alice"
    assert viewer.scopes == {"read", "upload", "publish"}
    text = desk.sign_ins.by_password("alice", PASSWORD, HOME, PAGES)
    assert desk.tokens.find_viewer(text).scopes == set(SCOPES)
    assert all(token.is_session for token in desk.tokens.list(desk.alice))
    desk.sign_ins.end(viewer, text)
    with pytest.raises(NotSignedInError):
        desk.tokens.find_viewer(text)
    assert desk.actions() == ["alice session.create alice"] * 2 + ["alice session.end alice"]


def test_refusals_do_not_tell_why() -> None:
    desk = Desk()
    desk.accounts.create("keyless")
    desk.accounts.disable("bob")
    texts = set()
    for name, password in [("alice", "wrong one"), ("nobody", PASSWORD), ("bob", PASSWORD),
                           ("keyless", PASSWORD)]:  # fmt: skip
        with pytest.raises(NotSignedInError) as caught:
            enter(desk, name, password)
        texts.add((caught.value.message, caught.value.hint))
    assert len(texts) == 1
    assert desk.actions() == [f" session.refuse {name}" for name in
                              ("alice", "nobody", "bob", "keyless")]  # fmt: skip


def test_a_wish_that_cannot_be_gives_nothing() -> None:
    desk = Desk()
    with pytest.raises(InvalidError):
        desk.sign_ins.by_password("alice", PASSWORD, HOME, Wish(scopes=("everything",)))
    assert desk.tokens.list(desk.alice) == []


def test_tries_of_one_address_are_limited_whatever_the_name() -> None:
    desk = Desk(burst=5)
    kinds = [fails(desk, f"user{number}", HOME) for number in range(6)]
    assert kinds == [NotSignedInError] * 5 + [TooManyRequestsError]
    with pytest.raises(TooManyRequestsError):
        enter(desk, "alice")
    assert enter(desk, "alice", address="192.0.2.2")
    desk.clock.now_s += 2  # 30 per minute
    assert enter(desk, "alice")


def test_one_network_of_ipv6_is_one_client() -> None:
    desk = Desk(burst=2)
    addresses = [f"2001:db8::{number}" for number in range(1, 4)]
    assert [fails(desk, "alice", address) for address in addresses][2] is TooManyRequestsError


def test_a_flood_on_an_account_is_limited_from_wherever_it_comes() -> None:
    desk = Desk()
    kinds = [fails(desk, "alice", address) for address in strangers(200)]
    assert kinds.count(NotSignedInError) == PER_ACCOUNT_BURST
    desk.clock.now_s += 60
    kinds = [fails(desk, "alice", address) for address in strangers(200)]
    assert kinds.count(NotSignedInError) == PER_ACCOUNT_PER_MINUTE


def test_a_name_that_does_not_exist_is_limited_alike() -> None:
    desk = Desk()
    known = [fails(desk, "alice", address) for address in strangers(60)]
    unknown = [fails(desk, "nobody", address) for address in strangers(60)]
    assert known == unknown


def test_a_flood_does_not_keep_the_owner_out() -> None:
    desk = Desk()
    enter(desk, "alice")
    for address in strangers(200):
        fails(desk, "alice", address)
    assert enter(desk, "alice"), "from where she has signed in before"
    assert enter(desk, "bob"), "others are not concerned"
    with pytest.raises(TooManyRequestsError):
        enter(desk, "alice", address="203.0.113.9")
    desk.clock.now_s += 60 / PER_ACCOUNT_PER_MINUTE
    assert enter(desk, "alice", address="203.0.113.9"), "a new place has to wait, but not long"


def test_the_owners_own_network_is_limited_too() -> None:
    desk = Desk(per_minute=1e6, burst=1000)
    enter(desk, "alice")
    kinds = [fails(desk, "alice", HOME) for _ in range(60)]
    assert kinds.count(NotSignedInError) == PER_ACCOUNT_BURST
    assert enter(desk, "alice", address="203.0.113.9")


def test_networks_are_remembered_for_a_time_and_not_all() -> None:
    desk = Desk(per_minute=0)
    enter(desk, "alice")
    assert desk.limits.is_known("alice", HOME)
    assert not desk.limits.is_known("bob", HOME)
    for address in strangers(MAX_NETWORKS):
        desk.clock.now_s += 1
        enter(desk, "alice", address=address)
    assert not desk.limits.is_known("alice", HOME)
    assert desk.limits.is_known("alice", strangers(1)[0])
    desk.clock.now_s += KNOWN_S
    assert not desk.limits.is_known("alice", strangers(1)[0])


class Signer:
    """Signs in with a key."""

    def __init__(self, desk: Desk, name: str = "alice") -> None:
        self.desk = desk
        self.name = name
        self.key = Ed25519PrivateKey.generate()
        desk.accounts.set_key(name, self.key.public_key().public_bytes_raw().hex())

    def enter(
        self, nonce: str, host: str = HOST, name: str = "", change: Callable[[str], str] = str
    ) -> str:
        """Sign in with a signature of `nonce`, which `change` may change."""
        name = name or self.name
        signature = self.key.sign(signed_message(host, name, nonce)).hex()
        return self.desk.sign_ins.by_key(name, nonce, change(signature), HOST, HOME, Wish())


def test_a_signed_nonce_gives_a_session_once() -> None:
    desk = Desk()
    signer = Signer(desk)
    nonce = desk.challenges.issue("alice")
    assert desk.tokens.find_viewer(signer.enter(nonce)).name == "alice"
    with pytest.raises(NotSignedInError):
        signer.enter(nonce)


def test_a_failed_try_uses_the_nonce_up() -> None:
    desk = Desk()
    signer = Signer(desk)
    nonce = desk.challenges.issue("alice")
    with pytest.raises(NotSignedInError):
        signer.enter(nonce, change=lambda text: "00" + text[2:])
    with pytest.raises(NotSignedInError):
        signer.enter(nonce)


def test_a_nonce_is_valid_for_a_minute() -> None:
    desk = Desk()
    signer = Signer(desk)
    in_time, late = desk.challenges.issue("alice"), desk.challenges.issue("alice")
    desk.clock.now_s += VALID_S - 1
    assert signer.enter(in_time)
    desk.clock.now_s += 1
    with pytest.raises(NotSignedInError):
        signer.enter(late)
    assert desk.challenges.issue("alice") != late


@pytest.mark.parametrize("text", ["", "zz", "00", "é" * 64, "00" * 64])
def test_what_is_no_signature_is_refused(text: str) -> None:
    desk = Desk()
    signer = Signer(desk)
    with pytest.raises(NotSignedInError):
        signer.enter(desk.challenges.issue("alice"), change=lambda _: text)


def test_a_signature_is_for_one_hub_account_and_nonce() -> None:
    desk = Desk()
    signer = Signer(desk)
    Signer(desk, "bob")
    for nonce, more in [
        (desk.challenges.issue("alice"), {"host": "evil.example"}),
        (desk.challenges.issue("bob"), {}),
        (desk.challenges.issue("bob"), {"name": "bob"}),
        ("00" * 32, {}),
        (desk.challenges.issue("nobody"), {"name": "nobody"}),
    ]:
        with pytest.raises(NotSignedInError):
            signer.enter(nonce, **more)  # type: ignore[arg-type]
    desk.accounts.disable("alice")
    with pytest.raises(NotSignedInError):
        signer.enter(desk.challenges.issue("alice"))


def test_an_account_without_a_key_has_none() -> None:
    """Nobody signs with the key that stands for none."""
    desk = Desk()
    nonce = desk.challenges.issue("bob")
    with pytest.raises(NotSignedInError):
        desk.sign_ins.by_key("bob", nonce, "00" * 64, HOST, HOME, Wish())
    # The all-zero key is a point of small order, for which a signature of zeroes may hold.
    nonce = desk.challenges.issue("bob")
    small = "01" + "00" * 31 + "00" * 32
    with pytest.raises(NotSignedInError):
        desk.sign_ins.by_key("bob", nonce, small, HOST, HOME, Wish())
