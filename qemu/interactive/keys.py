"""What a person types while a machine's console has the keyboard. No I/O.

Ctrl-] begins a command to the terminal itself, as in telnet: a digit chooses a machine, `q` ends,
and a second Ctrl-] goes to the machine. All other keys go to the machine, Ctrl-C among them.
"""

from dataclasses import dataclass

ESCAPE = 0x1D  # Ctrl-]
HELP = "Ctrl-] and then: 1 to 9 another machine, q the end, Ctrl-] itself"


@dataclass(frozen=True)
class Typed:
    """Bytes for the machine that is shown."""

    data: bytes


@dataclass(frozen=True)
class Choose:
    """Show the machine of this number, from 1."""

    number: int


@dataclass(frozen=True)
class Quit:
    """Stop all machines."""


@dataclass(frozen=True)
class Help:
    """Say which commands there are."""


Wish = Typed | Choose | Quit | Help


class Keys:
    """Finds the commands among the keys; a command may come in two reads."""

    def __init__(self) -> None:
        self._is_command = False

    def feed(self, data: bytes) -> list[Wish]:
        """Return what is wanted, in order."""
        wishes: list[Wish] = []
        typed = bytearray()
        for key in data:
            if not self._is_command and key != ESCAPE:
                typed.append(key)
            elif not self._is_command:
                self._is_command = True
            else:
                self._is_command = False
                if key == ESCAPE:
                    typed.append(key)
                    continue
                if typed:
                    wishes.append(Typed(bytes(typed)))
                    typed.clear()
                wishes.append(find_command(key))
        if typed:
            wishes.append(Typed(bytes(typed)))
        return wishes


def find_command(key: int) -> Wish:
    """Return the command of the key after Ctrl-]."""
    if key == ord("q"):
        return Quit()
    return Choose(key - ord("0")) if ord("1") <= key <= ord("9") else Help()
