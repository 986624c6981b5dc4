"""The first page: from a farm's number to a written stick."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import HTMLResponse

from bootstrap_server.channels.releases import PublishedRelease
from bootstrap_server.images.kinds import BIOS, KINDS
from bootstrap_server.options.model import Options
from bootstrap_server.pages import render_page
from bootstrap_server.pages.controls import SIMPLE
from bootstrap_server.pages.files import SCRIPT, File, Measure, find_file, fits
from bootstrap_server.pages.form import (
    Check,
    Form,
    Pairs,
    default_run_mode,
    empty_form,
    in_order,
    read_form,
)
from bootstrap_server.pages.machines import MACHINES, Machine, find_kinds
from bootstrap_server.pages.qr import draw_qr
from bootstrap_server.settings import Settings
from common.runmodes import RUN_MODES

# What the screen shows, after the words of the script; the numbers are examples.
_SCREEN = """\
Zero-OS: run mode {run_mode}, farm {farm}
Zero-OS: kernel parameters: {parameters}
Zero-OS: net0 52:54:00:12:34:56: DHCP (round 1 of 4)
Zero-OS: net0 has address 192.168.1.23, gateway 192.168.1.1
Zero-OS: fetching kernel and initramfs (try 1 of 3)
Zero-OS: starting the kernel
"""
_SYSTEMS = {"Windows": "windows", "Mac OS X": "macos", "X11; Linux": "linux", "X11; CrOS": "linux"}
Channels = Mapping[str, PublishedRelease | None]


@dataclass(frozen=True, slots=True)
class Result:
    """What the page says once the form is filled in; the first of `files` is the best one."""

    options: Options
    machine: Machine
    files: list[File]
    needs_uefi: bool
    script_url: str
    full_url: str
    server: str
    release: PublishedRelease | None
    screen: list[str]
    system: str
    qr: Markup


def show_form(
    query: Pairs,
    settings: Settings,
    channels: Channels,
    check: Check,
    measure: Measure,
    agent: str = "",
) -> HTMLResponse:
    """Return the page: empty, with its errors, or with an image for the chosen machine."""
    run_mode = default_run_mode(channels)
    names = dict(query)
    machine = names.get("machine", "usb")
    is_sent = "farm" in names
    form = read_form(query, run_mode, check, needs_farm=True) if is_sent else empty_form(run_mode)
    errors = dict(form.errors)
    if machine not in MACHINES:
        errors["machine"] = "choose one of the machines"
    result = None
    if form.options is not None and not errors:
        result = make_result(form.options, machine, settings, channels, measure, agent)
    return render_page(
        "form.html",
        422 if errors else 200,
        here="",
        root=settings.root_path,
        typed={**form.typed, "machine": machine},
        errors=in_order(errors, SIMPLE),
        firsts={"runmode": f"runmode-{next(iter(RUN_MODES))}", "machine": "machine-usb"},
        fields=SIMPLE,
        result=result,
        machines=MACHINES,
        run_modes=say_run_modes(channels),
        is_open=is_special(form, run_mode),
    )


def make_result(
    options: Options,
    name: str,
    settings: Settings,
    channels: Channels,
    measure: Measure,
    agent: str,
) -> Result:
    """Return what the page says of one image."""
    machine = MACHINES[name]
    release = channels[options.run_mode]
    url = settings.page_url
    is_private = has_private_root(settings)
    kinds = [
        kind
        for kind in find_kinds(machine, can_sign=settings.secure_boot is not None)
        if fits(kind, options) and not (is_private and kind.firmware == (BIOS,))
    ]
    files = [
        find_file(kind, options, url, None if at or not release else measure)
        for at, kind in enumerate(kinds)
    ]
    return Result(
        options=options,
        machine=machine,
        needs_uefi=is_private and bool(kinds) and BIOS in kinds[0].firmware,
        files=files,
        script_url=find_file(SCRIPT, options, url).url,
        full_url=find_file(KINDS["full"], options, url).url,
        server=url,
        release=release,
        screen=show_screen(options),
        system=guess_system(agent),
        qr=draw_qr(page_address(options, name, url)),
    )


def has_private_root(settings: Settings) -> bool:
    """Return whether iPXE has to trust a root of the operator's own, which BIOS' iPXE can't."""
    return bool(settings.tls_root) and settings.public_url.startswith("https:")


def page_address(options: Options, machine: str, page_url: str) -> str:
    """Return the page's own address for an image."""
    chosen = {"farm": options.farm, "machine": machine, "runmode": options.run_mode}
    if options.parameters:
        chosen["extra"] = " ".join(options.parameters)
    return f"{page_url}/?{urlencode(chosen)}"


def show_screen(options: Options) -> list[str]:
    """Return what a node's screen shows until Linux starts."""
    text = _SCREEN.format(
        run_mode=options.run_mode,
        farm=options.farm,
        parameters=" ".join(options.parameters) or "none",
    )
    return text.splitlines()


def say_run_modes(channels: Channels) -> dict[str, str]:
    """Return what the pages say of each run mode."""
    return {
        name: mode.summary + ("" if channels[name] else " (no release on this server yet)")
        for name, mode in RUN_MODES.items()
    }


def is_special(form: Form, run_mode: str) -> bool:
    """Return whether a field that is folded away holds something, or has an error."""
    hidden = bool(form.typed["extra"]) or form.typed["runmode"] != run_mode
    return hidden or bool({"extra", "runmode"} & set(form.errors))


def guess_system(agent: str) -> str:
    """Return the system whose steps to unfold, as the browser tells it."""
    return next((system for word, system in _SYSTEMS.items() if word in agent), "windows")
