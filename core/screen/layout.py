"""Where on the screen everything stands. Pure: from what is seen and a size to lines."""

from dataclasses import dataclass

from core.screen.letters import ROWS, enlarge, width_of
from core.screen.values import Seen

MARGIN = 2
LABEL = 11
FOOT = "Alt+F1 shows the log, Alt+F3 this screen. No key changes anything on the node."
PLAIN, TITLE, GOOD, BAD, DIM = "plain", "title", "good", "bad", "dim"


@dataclass(frozen=True)
class Line:
    """A line of the screen, exactly as wide as it, and how it looks."""

    text: str
    style: str = PLAIN


def lay_out(seen: Seen, width: int, height: int) -> list[Line]:
    """Return exactly `height` lines; what is wrong goes before what is merely good to know."""
    body = [*headline(seen, width, height), Line("")]
    problems = [Line(one, BAD) for problem in seen.problems for one in wrap(problem, width)]
    facts = [one for name, text in seen.rows for one in fact(name, text, width)]
    room = height - len(body) - 2  # the title and the foot
    body += fit(problems, max(room - len(facts) - 1, room // 2))
    if problems:
        body.append(Line(""))
    body += facts
    lines = [Line(f"  {seen.title}", TITLE), *body[: height - 2]]
    lines += [Line("")] * (height - 1 - len(lines))
    return [cut(line, width) for line in [*lines, Line(f"  {FOOT}", DIM)][:height]]


def headline(seen: Seen, width: int, height: int) -> list[Line]:
    """Return the farm's number and the state in large letters, as large as there is room."""
    words = [word for word in (seen.farm, seen.state) if word]
    style = GOOD if seen.is_well else BAD if seen.problems else PLAIN
    label = f"FARM {seen.farm}" if seen.farm else "NO FARM"
    for texts in ([f"{label} {seen.state}"], ["  ".join(words)], [label, seen.state], [seen.state]):
        scale = largest_scale(texts, width, height)
        if scale:
            lines = [Line(""), *(Line(f"  {one}", style) for one in enlarge(texts[0], scale))]
            for text in texts[1:]:
                lines += [Line(""), *(Line(f"  {one}", style) for one in enlarge(text, scale))]
            return lines if seen.farm in "".join(texts) else [Line(f"  {label}", style), *lines]
    return [Line(f"  {label}  {seen.state}", style)]


def largest_scale(texts: list[str], width: int, height: int) -> int:
    """Return how much the letters can be enlarged in a third of the screen; 0 if not at all."""
    across = min((width - 2 * MARGIN) // width_of(text) for text in texts)
    down = height // 3 // (len(texts) * (ROWS + 1))
    return min(across, down)


def fact(name: str, text: str, width: int) -> list[Line]:
    """Return a row with its name before it."""
    first, *others = wrap(text, width - LABEL) or [" " * MARGIN]
    rows = [f"  {name:<{LABEL}}{first[MARGIN:]}"]
    return [Line(row) for row in [*rows, *(" " * LABEL + other for other in others[:1])]]


def wrap(text: str, width: int) -> list[str]:
    """Return a text in lines with a margin, broken between words where that is possible."""
    lines, room = [], max(width - 2 * MARGIN, 1)
    while text:
        at = text.rfind(" ", 1, room + 1) if len(text) > room else len(text)
        at = at if at > 0 else room
        lines.append(" " * MARGIN + text[:at])
        text = text[at:].lstrip(" ")
    return lines


def fit(lines: list[Line], room: int) -> list[Line]:
    """Return at most `room` lines; the last says how many are missing."""
    if len(lines) <= room:
        return lines
    kept = lines[: max(room - 1, 0)]
    return [*kept, Line(f"  and {len(lines) - len(kept)} more lines", BAD)]


def cut(line: Line, width: int) -> Line:
    """Return a line that is exactly `width` wide."""
    return Line(line.text[:width].ljust(width), line.style)
