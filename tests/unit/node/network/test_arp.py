"""ARP messages."""

from node.network.arp import build_request, is_reply

MAC, ROUTER = bytes.fromhex("525400123456"), bytes.fromhex("525500000002")


def test_a_question() -> None:
    asked = build_request(MAC, "10.9.0.5", "10.9.0.1")
    assert asked.hex() == "0001080006040001" + MAC.hex() + "0a090005" + "00" * 6 + "0a090001"


def test_only_the_machine_itself_answers() -> None:
    answer = bytes.fromhex(f"0001080006040002{ROUTER.hex()}0a090001{MAC.hex()}0a090005")
    assert is_reply(answer, "10.9.0.1")
    assert is_reply(answer + bytes(18), "10.9.0.1")  # padding
    assert not is_reply(answer, "10.9.0.2")
    assert not is_reply(build_request(MAC, "10.9.0.1", "10.9.0.5"), "10.9.0.1")  # a question
    assert not is_reply(answer[:27], "10.9.0.1")
