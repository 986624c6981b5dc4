"""The states of links and the choice between them."""

import ipaddress
from dataclasses import replace

import pytest

from node.network.choice import CHOSEN_METRIC, GRACE_S, OTHER_METRIC, PATIENCE_S
from node.network.leases import Lease, Source
from node.network.machine import ACTIONS, FADING_S, HOPELESS_S, REFUSED_S, REPORT_S, Machine
from node.network.table import (
    IGNORED,
    TABLE,
    Action,
    Assign,
    Event,
    Hopeless,
    Input,
    Probe,
    Seek,
    State,
    Tell,
    Unassign,
    Up,
)

PAIRS = [(state, event) for state in State for event in Event]


def lease(
    link: str, number: int = 5, *, source: Source = Source.DHCP, router: bool = True
) -> Lease:
    """Return a lease of 10.<number of the link>.0.<number>."""
    net = int(link[-1])
    interface = ipaddress.IPv4Interface(f"10.{net}.0.{number}/24")
    return Lease(link, interface, f"10.{net}.0.1" if router else "", ("10.0.0.53",), source=source)


def lease_6(link: str, source: Source = Source.ROUTER) -> Lease:
    """Return an IPv6 lease."""
    net = int(link[-1])
    number = 5 if source is Source.ROUTER else 6
    interface = ipaddress.IPv6Interface(f"2001:db8:{net}::{number}/64")
    return Lease(link, interface, "fe80::1", ("2001:db8::53",), source=source)


class Scene:
    """A machine, its time, and what it has said to do."""

    def __init__(self, *links: str) -> None:
        self.now = 100.0
        self.machine = Machine(self.now)
        self.done: list[Action] = []
        for name in links:
            self.give(Event.FOUND, name)
            self.give(Event.PLUGGED, name)

    def give(self, event: Event, name: str, what: Lease | Source | str = "") -> list[Action]:
        """Give an event."""
        words = Input(
            self.now,
            what if isinstance(what, Lease) else None,
            what if isinstance(what, Source) else None,
            what if isinstance(what, str) else "",
        )
        return self.note(self.machine.handle(event, name, words))

    def wait(self, seconds: float) -> list[Action]:
        """Let time pass, and stop where the machine wants to be called."""
        end, found = self.now + seconds, []
        while self.now < end:
            self.now = min(self.machine.next_due(self.now), end)
            found += self.note(self.machine.tick(self.now))
        return found

    def note(self, actions: list[Action]) -> list[Action]:
        """Keep what is to be done."""
        self.done += actions
        return actions


def ups(actions: list[Action]) -> list[Up]:
    """Return the lines about a network."""
    return [action for action in actions if isinstance(action, Up)]


def test_every_pair_is_in_the_table_or_ignored_or_can_not_happen() -> None:
    impossible = {(state, event) for state, event in PAIRS if event in (Event.DUE, Event.EMPTIED)}
    impossible -= set(TABLE)
    assert set(TABLE) & IGNORED == set()
    assert set(TABLE) | IGNORED | impossible == set(PAIRS)
    assert {action for _, action in TABLE.values()} == set(ACTIONS)


def bring(state: State) -> Scene:
    """Return a scene whose link eth0 is in a state."""
    scene = Scene()
    steps: list[tuple[Event, Lease | str]] = [
        (Event.FOUND, ""),
        (Event.PLUGGED, ""),
        (Event.GRANTED, lease("eth0")),
    ]
    wanted = {
        State.ABSENT: [],
        State.UNPLUGGED: steps[:1],
        State.TRYING: steps[:2],
        State.HELD: steps,
        State.FADING: [*steps, (Event.UNPLUGGED, "")],
        State.PAUSED: [*steps, (Event.REFUSED, "no")],
    }
    for event, what in wanted[state]:
        scene.give(event, "eth0", what)
    return scene


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_each_pair(state: State, event: Event) -> None:
    scene = bring(state)
    link = scene.machine.links.get("eth0")
    assert (link.state if link else State.ABSENT) is state
    details: dict[Event, Lease | Source] = {
        Event.GRANTED: lease("eth0", 9),
        Event.WITHDRAWN: Source.ROUTER,
    }
    what = details.get(event, "")
    if (state, event) in TABLE or (state, event) in IGNORED:
        scene.give(event, "eth0", what)
        link = scene.machine.links.get("eth0")
        expected = TABLE.get((state, event), (state, ""))[0]
        assert (link.state if link else State.ABSENT) is expected
    else:
        with pytest.raises(ValueError, match=f"{event.value} cannot happen while eth0"):
            scene.give(event, "eth0", what)


def test_the_first_complete_lease_wins_and_the_others_stay_warm() -> None:
    scene = Scene("eth0", "eth1")
    assert scene.done == [Seek("eth0", begins=True), Seek("eth1", begins=True)]
    done = scene.give(Event.GRANTED, "eth1", lease("eth1"))
    assert done == [Assign(lease("eth1"), CHOSEN_METRIC), Up(lease("eth1"))]
    done = scene.give(Event.GRANTED, "eth0", lease("eth0"))
    assert done == [
        Assign(lease("eth0"), OTHER_METRIC),
        Probe((lease("eth0"), lease("eth1"))),
    ]
    assert scene.machine.chosen == "eth1"


def test_a_renewed_lease_changes_nothing() -> None:
    scene = Scene("eth0")
    scene.give(Event.GRANTED, "eth0", lease("eth0"))
    assert scene.give(Event.GRANTED, "eth0", lease("eth0")) == []
    other = lease("eth0", 6)
    assert scene.give(Event.GRANTED, "eth0", other) == [Assign(other, CHOSEN_METRIC), Up(other)]


def both() -> Scene:
    """Return a scene with two leases, of which eth0's is chosen."""
    scene = Scene("eth0", "eth1")
    for name in ("eth0", "eth1"):
        scene.give(Event.GRANTED, name, lease(name))
    assert scene.machine.chosen == "eth0"
    return scene


def test_the_cable_is_pulled_and_the_next_link_takes_over() -> None:
    scene = both()
    done = scene.give(Event.UNPLUGGED, "eth0")
    assert done[0] == Tell("eth0: the cable is out")
    assert scene.wait(GRACE_S / 2) == []
    done = scene.wait(GRACE_S / 2)
    assert done == [
        Assign(lease("eth1"), CHOSEN_METRIC),
        Assign(lease("eth0"), OTHER_METRIC),
        Up(lease("eth1"), "eth0: the cable is out"),
    ]
    assert Seek("eth0", begins=False) in scene.wait(FADING_S)
    assert scene.done[-1] == Unassign(lease("eth0"))
    scene.give(Event.PLUGGED, "eth0")
    scene.give(Event.GRANTED, "eth0", lease("eth0"))
    assert scene.machine.chosen == "eth1"  # it stays


def test_a_carrier_that_blinks_changes_nothing() -> None:
    scene = both()
    scene.give(Event.UNPLUGGED, "eth0")
    scene.wait(GRACE_S / 2)
    scene.give(Event.PLUGGED, "eth0")
    assert ups(scene.wait(60)) == []
    assert scene.machine.chosen == "eth0"


def test_without_another_link_the_lease_stays_for_a_while() -> None:
    scene = Scene("eth0")
    scene.give(Event.GRANTED, "eth0", lease("eth0"))
    scene.give(Event.UNPLUGGED, "eth0")
    assert scene.wait(FADING_S - 0.1) == []
    scene.give(Event.PLUGGED, "eth0")
    assert scene.machine.chosen == "eth0"
    scene.give(Event.UNPLUGGED, "eth0")
    done = scene.wait(FADING_S)
    assert done == [
        Seek("eth0", begins=False),
        Tell("no network: eth0 is lost"),
        Unassign(lease("eth0")),
    ]
    scene.give(Event.PLUGGED, "eth0")
    assert ups(scene.give(Event.GRANTED, "eth0", lease("eth0"))) == [Up(lease("eth0"))]


def test_a_silent_router_loses_to_one_that_answers_only() -> None:
    scene = both()
    done = scene.give(Event.SILENT, "eth0")
    assert ups(done) == [Up(lease("eth1"), "eth0: the router does not answer")]
    assert ups(scene.give(Event.ANSWERED, "eth0")) == []
    scene.give(Event.SILENT, "eth0")
    assert ups(scene.give(Event.SILENT, "eth1")) == []  # no better one
    assert ups(scene.give(Event.ANSWERED, "eth0")) == [
        Up(lease("eth0"), "eth1: the router does not answer")
    ]


def test_a_router_that_nobody_watches_any_more_is_not_silent() -> None:
    scene = both()
    scene.give(Event.SILENT, "eth0")
    assert Probe(()) in scene.give(Event.GONE, "eth1")
    assert not scene.machine.links["eth0"].is_silent


def test_a_lease_that_is_lost() -> None:
    scene = both()
    done = scene.give(Event.WITHDRAWN, "eth0", Source.DHCP)
    assert ups(done)[0].lease == lease("eth1")
    assert Unassign(lease("eth0")) in done
    assert Probe(()) in done
    done = scene.give(Event.WITHDRAWN, "eth1", Source.DHCP)
    assert Tell("no network: eth1 is lost") in done


def test_an_incomplete_lease_wins_after_a_while_and_loses_to_a_complete_one() -> None:
    scene = Scene("eth0", "eth1")
    bare = lease("eth0", router=False)
    assert ups(scene.give(Event.GRANTED, "eth0", bare)) == []
    assert ups(scene.wait(PATIENCE_S - 0.1)) == []
    assert ups(scene.wait(0.2)) == [Up(bare)]
    done = scene.give(Event.GRANTED, "eth1", lease("eth1"))
    assert ups(done) == [Up(lease("eth1"), "eth0: the other one leads further")]


def test_a_late_router_advertisement_beats_a_lease_without_a_router() -> None:
    scene = Scene("eth0")
    bare = lease("eth0", router=False)
    scene.give(Event.GRANTED, "eth0", bare)
    scene.wait(PATIENCE_S)
    done = scene.give(Event.GRANTED, "eth0", lease_6("eth0"))
    assert done[:2] == [Assign(lease_6("eth0"), CHOSEN_METRIC), Unassign(bare)]
    assert ups(done) == [Up(lease_6("eth0"))]
    assert scene.give(Event.GRANTED, "eth0", replace(bare)) == []


def test_a_router_waits_for_a_dhcp_server_which_may_come_later() -> None:
    scene = Scene("eth0")
    assert ups(scene.give(Event.GRANTED, "eth0", lease_6("eth0"))) == []
    assert ups(scene.wait(PATIENCE_S)) == [Up(lease_6("eth0"))]
    done = scene.give(Event.GRANTED, "eth0", lease("eth0"))
    assert done == [Assign(lease("eth0"), CHOSEN_METRIC), Up(lease("eth0"))]
    assert Assign(lease_6("eth0"), CHOSEN_METRIC) in scene.machine.applied.values()


def test_dhcpv6_is_beside_what_routers_advertise() -> None:
    scene = Scene("eth0")
    scene.give(Event.GRANTED, "eth0", lease_6("eth0"))
    scene.give(Event.GRANTED, "eth0", lease_6("eth0", Source.DHCP6))
    assert ups(scene.wait(PATIENCE_S)) == [Up(lease_6("eth0", Source.DHCP6))]
    assert len(scene.machine.applied) == 2
    done = scene.give(Event.WITHDRAWN, "eth0", Source.DHCP6)
    assert ups(done) == [Up(lease_6("eth0"))]


def test_a_static_address_is_on_one_link_only() -> None:
    scene = Scene("eth0", "eth1")
    static = lease("eth0", source=Source.STATIC)
    other = replace(static, link="eth1")
    scene.give(Event.GRANTED, "eth0", replace(static, is_proven=False))
    scene.give(Event.GRANTED, "eth1", replace(other, is_proven=False))
    assert scene.machine.applied == {}
    assert ups(scene.give(Event.GRANTED, "eth1", other)) == [Up(other)]
    scene.give(Event.GRANTED, "eth0", static)
    assert list(scene.machine.applied.values()) == [Assign(other, CHOSEN_METRIC)]
    scene.give(Event.UNPLUGGED, "eth1")
    done = scene.wait(GRACE_S)
    assert done[:2] == [Assign(static, CHOSEN_METRIC), Unassign(other)]


def test_a_static_address_without_an_answer_is_used_in_the_end() -> None:
    scene = Scene("eth0")
    static = replace(lease("eth0", source=Source.STATIC), is_proven=False)
    scene.give(Event.GRANTED, "eth0", static)
    assert ups(scene.wait(PATIENCE_S)) == [Up(static)]


def test_a_lease_that_the_kernel_refuses() -> None:
    scene = both()
    done = scene.give(Event.REFUSED, "eth0", "cannot use the lease of eth0")
    assert done[:2] == [
        Tell("cannot use the lease of eth0; again in 10 s"),
        Seek("eth0", begins=False),
    ]
    assert ups(done) == [Up(lease("eth1"), "eth0: cannot use the lease of eth0")]
    assert Seek("eth0", begins=True) in scene.wait(REFUSED_S)


def test_a_card_that_is_gone() -> None:
    scene = both()
    done = scene.give(Event.GONE, "eth0")
    assert done[0] == Seek("eth0", begins=False)
    assert ups(done) == [Up(lease("eth1"), "eth0: it is gone")]
    assert "eth0" not in scene.machine.links
    assert scene.give(Event.GRANTED, "eth0", lease("eth0")) == []


def test_name_servers_come_from_the_other_family_if_need_be() -> None:
    scene = Scene("eth0")
    scene.give(Event.GRANTED, "eth0", lease_6("eth0"))
    bare = replace(lease("eth0"), name_servers=())
    scene.give(Event.GRANTED, "eth0", bare)
    (up,) = ups(scene.wait(PATIENCE_S))
    assert up.lease == lease_6("eth0")  # it can do more
    scene.give(Event.GRANTED, "eth0", replace(lease_6("eth0"), router=""))
    up = ups(scene.done)[-1]
    assert (up.lease.interface, up.lease.name_servers) == (bare.interface, ("2001:db8::53",))


def test_a_node_without_a_network_says_so_again_and_again() -> None:
    scene = Scene("eth0")
    scene.give(Event.FOUND, "eth1")
    text = "still waiting for a lease (eth0: cable, eth1: no cable)"
    assert scene.wait(REPORT_S) == [Tell(text, is_decision=False)]
    done = scene.wait(HOPELESS_S)
    assert done.count(Hopeless(HOPELESS_S)) == 1
    assert scene.wait(HOPELESS_S).count(Hopeless(HOPELESS_S)) == 1
    scene.give(Event.GRANTED, "eth0", lease("eth0"))
    assert scene.wait(300) == []


def test_no_card_at_all() -> None:
    scene = Scene()
    text = "still waiting for a lease (no wired network card found)"
    assert scene.wait(REPORT_S) == [Tell(text, is_decision=False)]
