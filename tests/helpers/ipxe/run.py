"""Runs an iPXE script against an imagined machine: its cards, its network and its servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from tests.helpers.ipxe.grammar import Line, expand, read_lines

STEPS_MAX = 100_000
ENOENT, ETIMEDOUT, UNREACHABLE = 0x2D0C613B, 0x4C072035, 0x280A6011
DOWNLOADS = ("chain", "kernel", "initrd", "imgfetch")


@dataclass
class Machine:
    """What a script meets.

    `fails` maps the beginning of a command to iPXE's error; a list of errors is used up, one a
    call, and 0 is success. `gateway` is what DHCP tells. `is_whole`: the release's kernel has its
    initramfs inside; a list has the answers of the servers, one a call.
    """

    cards: Mapping[str, str] = field(default_factory=lambda: {"net0": "52:54:00:00:00:01"})
    fails: dict[str, int | list[int]] = field(default_factory=dict)
    gateway: str = "10.0.2.2"
    dns: str = "10.0.2.3"
    is_too_old: bool = False
    is_whole: bool | list[bool] = False

    def __post_init__(self) -> None:
        self.settings: dict[str, str] = {f"{card}/mac": mac for card, mac in self.cards.items()}
        self.settings |= {"uuid": "4c4c4544-0000", "serial": "A B&C", "version": "1.0"}
        self.screen: list[str] = []
        self.ran: list[str] = []
        self.images: list[str] = []
        self.slept_s = 0
        self.ended = ""
        self.error = 0
        self.open: set[str] = set()
        self.lines: list[Line] = []
        self.target = 0

    def run(self, script: str) -> None:
        """Run a script until a kernel starts, the machine reboots, or a line fails."""
        self.lines = read_lines(script)
        at = 0
        for _ in range(STEPS_MAX):
            if at >= len(self.lines):
                return
            self.target = at + 1
            if self.run_line(self.lines[at]) or self.ended:
                return
            at = self.target
        raise AssertionError("the script does not end")

    def run_line(self, line: Line) -> int:
        """Run the commands of a line and return the status of the last one that ran."""
        status, usual = 0, self.target
        for operator, name, arguments in line.commands:
            if (operator == "||" and not status) or (operator == "&&" and status):
                continue
            words = [expand(word, self.look_up) for word in (name, *arguments)]
            status = self.execute(words) if name else 0
            self.error = status or self.error
            if self.target != usual:
                return 0
        return status

    def look_up(self, name: str) -> str:
        """Return the value of a setting, in the form that its name asks for."""
        name, _, form = name.partition(":")
        if name == "errno":
            return f"{self.error:08x}"
        value = self.settings.get(name, "")
        return quote(value, safe="") if form == "uristring" else value

    def execute(self, words: list[str]) -> int:
        """Run one command. Those that are not here succeed and do nothing."""
        self.ran.append(" ".join(words))
        if words[0] in DOWNLOADS and not self.open:
            return UNREACHABLE
        if error := self.find_failure(self.ran[-1]):
            return error
        method = getattr(self, f"do_{words[0]}", None)
        return int(method(*words[1:]) or 0) if method else 0

    def find_failure(self, text: str) -> int:
        """Return the error that this call of a command ends with."""
        for start, errors in self.fails.items():
            if text.startswith(start):
                if isinstance(errors, int):
                    return errors
                return errors.pop(0) if errors else 0
        return 0

    def do_echo(self, *words: str) -> None:
        self.screen.append(" ".join(words))

    def do_set(self, name: str, *value: str) -> None:
        self.settings[name.partition(":")[0]] = " ".join(value)

    def do_clear(self, name: str) -> None:
        self.settings.pop(name, None)

    def do_inc(self, name: str, by: str = "1") -> None:
        if not self.is_too_old:
            self.settings[name] = str(int(self.settings.get(name, "0")) + int(by))

    def do_isset(self, value: str = "") -> int:
        return 0 if value else ENOENT

    def do_iseq(self, one: str = "", other: str = "") -> int:
        return 0 if one == other else ENOENT

    def do_goto(self, label: str) -> int:
        at = next((at for at, line in enumerate(self.lines) if line.label == label), None)
        if at is None:
            return ENOENT
        self.target = at
        return 0

    def do_sleep(self, seconds: str) -> None:
        self.slept_s += int(seconds)

    def do_vcreate(self, _option: str, tag: str, card: str) -> None:
        self.settings[f"{card}-{tag}/mac"] = self.settings[f"{card}/mac"]

    def do_ifopen(self, card: str) -> None:
        self.open.add(card)

    def do_ifclose(self, card: str) -> None:
        self.open.discard(card)

    def do_ifconf(self, _option: str, configurator: str, card: str) -> None:
        self.do_ifopen(card)
        suffix = "6" if configurator == "ipv6" else ""
        self.settings[f"{card}/ip{suffix}"] = "fec0::15" if suffix else "10.0.2.15"
        self.settings[f"{card}/gateway{suffix}"] = "fe80::2" if suffix else self.gateway
        self.settings["dns"] = self.dns

    def do_chain(self, *_: str) -> None:
        self.settings["release"] = "0123456789abcdef"
        is_whole = self.is_whole if isinstance(self.is_whole, bool) else self.is_whole.pop(0)
        self.settings["whole"] = "yes" if is_whole else ""

    def do_kernel(self, _option: str, name: str, *_: str) -> None:
        self.images.append(name)

    do_initrd = do_imgfetch = do_kernel

    def do_imgfree(self, *names: str) -> int:
        if names and names[0] not in self.images:
            return ENOENT
        self.images = [image for image in self.images if names and image != names[0]]
        return 0

    def do_boot(self, *_: str) -> None:
        self.ended = "kernel"

    def do_reboot(self) -> None:
        self.ended = "reboot"
