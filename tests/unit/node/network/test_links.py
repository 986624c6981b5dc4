"""Network cards as sysfs shows them."""

from pathlib import Path

from node.network.links import describe_link, read_own_mac


def test_a_card_in_a_bond_has_an_address_of_its_own(tmp_path: Path) -> None:
    card = tmp_path / "eth0"
    (card / "bonding_slave").mkdir(parents=True)
    (card / "address").write_text("52:54:00:00:00:01\n")
    (card / "bonding_slave" / "perm_hwaddr").write_text("52:54:00:00:00:02\n")
    assert read_own_mac("eth0", tmp_path) == "52:54:00:00:00:02"
    (card / "bonding_slave" / "perm_hwaddr").unlink()
    assert read_own_mac("eth0", tmp_path) == "52:54:00:00:00:01"
    assert read_own_mac("eth1", tmp_path) == ""


def test_a_link_on_others_names_them(tmp_path: Path) -> None:
    bond = tmp_path / "bond0"
    (bond / "lower_eth1").mkdir(parents=True)
    (bond / "lower_eth0").mkdir()
    (bond / "address").write_text("52:54:00:00:00:01\n")
    assert describe_link("bond0", tmp_path) == "bond0 (on eth0, eth1, 52:54:00:00:00:01)"
    assert describe_link("eth9", tmp_path) == "eth9 (no driver, ?)"
