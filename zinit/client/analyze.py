"""`zinit analyze`: turns the times that the daemon recorded of a boot into text or SVG.

Times are seconds since the kernel's start.
"""

import os
import sys

ROW = 20
LEFT = 10
TEXT = 150
SCALE_WIDTH = 900
SVG_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    'font-family="sans-serif" font-size="12">'
)
COLOURS = {"blocked": "#d8dee9", "starting": "#ebcb8b", "running": "#a3be8c"}


class Span:
    """When one service was monitored, spawned and ready (a oneshot: ended successfully)."""

    def __init__(self, name: str, entry: "dict[str, object]") -> None:
        self.name = name
        after = entry["after"]
        assert isinstance(after, list)
        self.after: list[str] = after
        self.blocked = read(entry, "blocked")
        self.spawned = read(entry, "spawned")
        self.ready = read(entry, "ready")


def read(entry: "dict[str, object]", key: str) -> float | None:
    """Return the time of a stage, or None if the service did not reach it."""
    value = entry.get(key)
    return float(value) if isinstance(value, (int, float)) else None


def read_spans(answer: "dict[str, object]") -> dict[str, Span]:
    """Return the spans of the services of the boot, not of those that were monitored later."""
    services = answer["services"]
    assert isinstance(services, dict)
    spans = (Span(name, entry) for name, entry in services.items())
    loaded = read(answer, "loaded")
    return {
        span.name: span
        for span in spans
        if loaded is None or span.blocked is None or span.blocked <= loaded
    }


def find_chain(spans: dict[str, Span], last: str | None = None) -> list[Span]:
    """Return the critical chain, first to last: each is the last dependency of the next."""
    done = [span for span in spans.values() if span.ready is not None]
    if not done:
        return []
    span: Span | None = spans.get(last) if last else max(done, key=lambda one: one.ready or 0.0)
    chain: list[Span] = []
    while span is not None and span not in chain:
        chain.append(span)
        before = [spans[name] for name in span.after if name in spans]
        ready = [one for one in before if one.ready is not None and one.ready <= limit(span)]
        span = max(ready, key=lambda one: one.ready or 0.0) if ready else None
    return chain[::-1]


def limit(span: Span) -> float:
    """Return when a service stopped waiting for its dependencies."""
    return float("inf") if span.spawned is None else span.spawned


def render_chain(answer: "dict[str, object]") -> str:
    """Return the critical chain as text."""
    spans = read_spans(answer)
    chain = find_chain(spans)
    started = float(str(answer["started"]))
    lines = []
    if not chain:
        return "no service is ready yet\n"
    end = max(span.ready or 0.0 for span in chain)
    ready = sum(span.ready is not None for span in spans.values())
    lines.append(
        f"zinit started {started:.3f} s after the kernel; {ready} of {len(spans)} services "
        f"were ready {end - started:.3f} s later"
    )
    lines.append("the critical chain (@ when it was ready, + how long it took from its spawn):")
    for depth, span in enumerate(reversed(chain)):
        assert span.ready is not None
        took = span.ready - (span.spawned if span.spawned is not None else span.ready)
        lead = "" if not depth else "  " * (depth - 1) + "`-"
        lines.append(f"{lead}{span.name} @{span.ready - started:.3f}s +{took:.3f}s")
    late = [span.name for span in spans.values() if span.ready is None]
    if late:
        lines.append("never ready: " + ", ".join(sorted(late)))
    services = answer["services"]
    assert isinstance(services, dict)
    if len(services) > len(spans):
        lines.append(f"monitored after the boot: {len(services) - len(spans)}")
    return "\n".join(lines) + "\n"


def render_svg(answer: "dict[str, object]") -> str:
    """Return the boot as SVG, with one row per service."""
    spans = sorted(
        read_spans(answer).values(), key=lambda one: (one.spawned or 1e9, one.blocked or 1e9)
    )
    started = float(str(answer["started"]))
    now = float(str(answer["now"]))
    marks = [at for one in spans for at in (one.blocked, one.spawned, one.ready) if at is not None]
    end = min(now, max(marks, default=started) + 0.05 * (max(marks, default=started) - started))
    length = max(end - started, 0.01)
    chain = {span.name for span in find_chain({span.name: span for span in spans})}
    width, height = SCALE_WIDTH + TEXT + 2 * LEFT, ROW * (len(spans) + 3)
    parts = [
        SVG_HEAD.format(width=width, height=height),
        f"<title>boot: {len(spans)} services, {length:.3f} s</title>",
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    parts += draw_grid(length, height)
    for row, span in enumerate(spans, 1):
        parts += draw_span(span, row * ROW, started, length, span.name in chain)
    parts.append("</svg>\n")
    return "\n".join(parts)


def draw_grid(length: float, height: int) -> list[str]:
    """Return the elements of a time scale."""
    step = 10.0 ** len(str(int(length))) / 10
    while length / step < 5:
        step /= 2
    parts = []
    at = 0.0
    while at <= length:
        x = LEFT + SCALE_WIDTH * at / length
        parts.append(f'<line x1="{x:.1f}" y1="16" x2="{x:.1f}" y2="{height}" stroke="#eeeeee"/>')
        parts.append(f'<text x="{x:.1f}" y="12" fill="#666666">{at:.3g} s</text>')
        at += step
    return parts


def draw_span(span: Span, y: int, started: float, length: float, is_critical: bool) -> list[str]:
    """Return the elements of one service: its bars and its name."""
    end = started + length
    marks = [
        ("blocked", span.blocked, span.spawned if span.spawned is not None else end),
        ("starting", span.spawned, span.ready if span.ready is not None else end),
        ("running", span.ready, end),
    ]
    parts = []
    for colour, begin, until in marks:
        if begin is None:
            continue
        x = LEFT + SCALE_WIDTH * (begin - started) / length
        width = max(SCALE_WIDTH * (until - begin) / length, 0.5)
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW - 6}" '
            f'fill="{COLOURS[colour]}"/>'
        )
    first = next((at for at in (span.spawned, span.blocked) if at is not None), started)
    x = LEFT + SCALE_WIDTH * (first - started) / length + 4
    weight = ' font-weight="bold"' if is_critical else ""
    took = ""
    if span.spawned is not None and span.ready is not None:
        took = f" ({(span.ready - span.spawned) * 1000:.0f} ms)"
    text = escape(span.name) + took
    parts.append(f'<text x="{x:.1f}" y="{y + 11}"{weight}>{text}</text>')
    return parts


def escape(text: str) -> str:
    """Return `text` escaped for XML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def measure_imports(program: str = "import zinit.boot, zinit.files.plainyaml") -> str:
    """Return the import time of each module of PID 1, measured in a new interpreter."""
    path = f"import sys; sys.path[:0] = {[one for one in sys.path if one]!r}; "
    python = sys.executable or "/proc/self/exe"
    call = [python, "-IS", "-X", "importtime", "-c", path + program]
    reader, writer = os.pipe()
    pid = os.posix_spawn(python, call, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 2)])
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
        said = stream.read().splitlines()
    os.waitpid(pid, 0)
    rows = []
    for line in said:
        own, _, rest = line.removeprefix("import time:").partition("|")
        if own.strip().isdecimal():
            rows.append((int(own), rest.partition("|")[2].strip()))
    total_ms = sum(own for own, _ in rows) / 1000
    lines = [f"{len(rows)} modules, {total_ms:.1f} ms; each without what it imports itself:"]
    lines += [f"{own / 1000:9.2f} ms  {name}" for own, name in sorted(rows, reverse=True)]
    return "\n".join(lines) + "\n"
