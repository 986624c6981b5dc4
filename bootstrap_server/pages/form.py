"""What was typed into a form: the options, or the error of each field that has one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bootstrap_server.channels.releases import PublishedRelease
from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.options.model import Options, parse_farm
from bootstrap_server.options.parameters import EXTRA_MAX_CHARS
from bootstrap_server.options.parse import FIELDS, parse_pairs

_SHOWN_MAX_CHARS = 2 * EXTRA_MAX_CHARS  # of an input that the page repeats in its field
Pairs = Sequence[tuple[str, str]]
Check = Callable[[Options], object]


@dataclass(frozen=True, slots=True)
class Form:
    """The texts of the fields, their errors, and the options if there are no errors."""

    typed: Mapping[str, str]
    errors: Mapping[str, str]
    options: Options | None = None


def read_form(query: Pairs, run_mode: str, check: Check, *, needs_farm: bool) -> Form:
    """Return the form that was sent. `check` raises what this server refuses.

    Names that are no options are ignored, and `run_mode` is taken where none was chosen.
    """
    pairs = [(name, text.strip()) for name, text in query if name in FIELDS and text.strip()]
    if "runmode" not in {name for name, _ in pairs}:
        pairs.append(("runmode", run_mode))
    errors: dict[str, str] = {}
    if needs_farm and "farm" not in {name for name, _ in pairs}:
        errors["farm"] = reason_of(lambda: parse_farm(""))
    options = collect_errors(pairs, check, errors)
    return Form(repeat(pairs), errors, None if errors else options)


def empty_form(run_mode: str) -> Form:
    """Return the form before anything was typed."""
    return Form(repeat([("runmode", run_mode)]), {})


def collect_errors(pairs: Pairs, check: Check, errors: dict[str, str]) -> Options | None:
    """Add the error of each field: a wrong field is left out, and the rest parsed again."""
    while True:
        try:
            options = parse_pairs(without_wrong(pairs, errors))
            check(options)
        except (InputError, NotThereError) as error:
            name = getattr(error, "field", "kernel")  # a release that is not there has no field
            if name in errors:
                return None
            errors[name] = error.message
        else:
            return options


def without_wrong(pairs: Pairs, errors: Mapping[str, str]) -> Pairs:
    """Return what is left to parse beside the fields with errors."""
    wrong = {*errors, *(("gateway",) if "address" in errors else ())}
    left = [(name, text) for name, text in pairs if name not in wrong]
    return [*left, ("runmode", "prod")] if "runmode" in errors else left


def in_order(errors: Mapping[str, str], fields: Iterable[str]) -> dict[str, str]:
    """Return errors in the order of a page's fields."""
    return {name: errors[name] for name in fields if name in errors}


def reason_of(parse: Callable[[], object]) -> str:
    """Return why `parse` refuses its input."""
    try:
        parse()
    except InputError as error:
        return error.message
    return ""


def repeat(pairs: Pairs) -> dict[str, str]:
    """Return the text of every field, as the page repeats it."""
    texts = {name: [text for key, text in pairs if key == name] for name in FIELDS}
    texts["ipv6"] = texts["ipv6"] or ["off"]
    return {name: " ".join(values)[:_SHOWN_MAX_CHARS] for name, values in texts.items()}


def default_run_mode(channels: Mapping[str, PublishedRelease | None]) -> str:
    """Return the run mode to preselect: prod, unless only others have a release here."""
    ready = [mode for mode, release in channels.items() if release]
    return ready[-1] if ready else "prod"
