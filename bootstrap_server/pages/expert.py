"""The page with every option, and the script that comes of them beside it."""

from collections.abc import Callable, Mapping
from itertools import groupby

from starlette.responses import HTMLResponse

from bootstrap_server.images.kinds import KINDS
from bootstrap_server.options.model import Options
from bootstrap_server.options.parameters import PARAMETERS, REFUSED, Parameter
from bootstrap_server.pages import render_page
from bootstrap_server.pages.controls import CONTROLS, IPV6
from bootstrap_server.pages.farmer import Channels, say_run_modes
from bootstrap_server.pages.files import find_file, find_files, fits
from bootstrap_server.pages.form import Check, Pairs, default_run_mode, in_order, read_form
from bootstrap_server.settings import Settings
from common.runmodes import RUN_MODES

_SHORT = ("farm", "runmode")
FIRSTS = {"runmode": f"runmode-{next(iter(RUN_MODES))}", "ipv6": "ipv6-off"}


def show_expert(
    query: Pairs,
    settings: Settings,
    channels: Channels,
    check: Check,
    script: Callable[[Options], str],
) -> HTMLResponse:
    """Return the page with the fields as typed, their errors, and addresses and script if none."""
    form = read_form(query, default_run_mode(channels), check, needs_farm=False)
    errors = dict(form.errors)
    name = dict(query).get("kind", "usb")
    kind = KINDS.get(name)
    if kind is None:
        errors["kind"] = "there is no such kind of image"
    options = None if errors else form.options
    file = None
    if kind and options and fits(kind, options):
        file = find_file(kind, options, settings.page_url)
    return render_page(
        "expert.html",
        422 if errors else 200,
        here="expert",
        root=settings.root_path,
        typed={**form.typed, "kind": name},
        errors=in_order(errors, ("kind", *CONTROLS)),
        fields=CONTROLS,
        firsts=FIRSTS,
        groups=group_controls(),
        choices={"runmode": say_run_modes(channels), "ipv6": IPV6},
        mirrors=settings.mirrors,
        kinds=KINDS,
        options=options,
        file=file,
        script=script(options) if options else "",
        release=channels[options.run_mode] if options else None,
        parameters=describe_parameters(settings),
        refused=REFUSED,
    )


def show_addresses(
    query: Pairs, settings: Settings, channels: Channels, check: Check
) -> HTMLResponse:
    """Return the page with the address of every kind of image for one set of options."""
    form = read_form(query, default_run_mode(channels), check, needs_farm=False)
    is_sent = bool(query)
    files = find_files(form.options, settings.page_url) if form.options and is_sent else []
    return render_page(
        "generate.html",
        422 if form.errors else 200,
        root=settings.root_path,
        typed=form.typed,
        errors=in_order(form.errors, CONTROLS),
        fields=CONTROLS,
        firsts=FIRSTS,
        run_modes=say_run_modes(channels),
        options=form.options,
        files=files,
        rest=keep_rest(query),
    )


def keep_rest(query: Pairs) -> Pairs:
    """Return the options that the short form has no fields for, so that it can send them again."""
    return [
        (name, text) for name, text in query if name in CONTROLS and name not in _SHORT and text
    ]


def group_controls() -> Mapping[str, list[str]]:
    """Return the names of the fields below each heading."""
    groups = groupby(CONTROLS, lambda name: CONTROLS[name].group)
    return {group: list(names) for group, names in groups}


def describe_parameters(settings: Settings) -> Mapping[str, Parameter]:
    """Return the parameters that can be given, with those that the operator allows."""
    own = {
        name: Parameter("operator", "allowed on this server", name) for name in settings.parameters
    }
    return {**PARAMETERS, **own}
