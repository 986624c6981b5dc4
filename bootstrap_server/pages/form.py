"""The page with the form: it takes farm number, run mode and parameters, and gives addresses."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import HTMLResponse

from bootstrap_server.channels.releases import PublishedRelease
from bootstrap_server.errors import InputError, NotThereError
from bootstrap_server.images.disk import DISK_BYTES
from bootstrap_server.options.model import (
    Options,
    parse_farm,
    parse_run_mode,
)
from bootstrap_server.options.parameters import EXTRA_MAX_CHARS, check_allowed, parse_extra
from bootstrap_server.pages import render_page
from bootstrap_server.settings import Settings
from common.runmodes import RUN_MODES

_SHOWN_MAX_CHARS = 2 * EXTRA_MAX_CHARS  # of an input that the page repeats in its field


@dataclass(frozen=True, slots=True)
class Result:
    """The addresses for a form that was filled in."""

    boot: Options
    file_name: str
    usb_url: str
    script_url: str
    curl: str
    sha256: str


def show_form(
    query: Mapping[str, str],
    settings: Settings,
    channels: Mapping[str, PublishedRelease | None],
    checksum: Callable[[Options], str],
) -> HTMLResponse:
    """Return the page for the form's inputs: empty, with its errors, or with addresses.

    `checksum` returns the SHA-256 of a boot's image, or an empty text.
    """
    typed = {
        "farm": query.get("farm", "").strip(),
        "runmode": query.get("runmode", default_run_mode(channels)),
        "extra": query.get("extra", "").strip(),
    }
    errors = find_errors(typed, settings.parameters) if "farm" in query else {}
    result = None
    if "farm" in query and not errors:
        boot = Options(typed["runmode"], parse_farm(typed["farm"]), parse_extra(typed["extra"]))
        result = make_result(boot, settings.page_url, checksum(boot))
    page = render_page(
        "form.html",
        root=settings.root_path,
        typed={key: value[:_SHOWN_MAX_CHARS] for key, value in typed.items()},
        errors=errors,
        result=result,
        run_modes={name: mode.summary for name, mode in RUN_MODES.items()},
        channels=channels,
        size_mib=DISK_BYTES // 2**20,
    )
    page.status_code = 422 if errors else 200
    return page


def default_run_mode(channels: Mapping[str, PublishedRelease | None]) -> str:
    """Return the run mode to preselect: prod, unless only others have a release here."""
    ready = [mode for mode, release in channels.items() if release]
    return ready[-1] if ready else "prod"


def find_errors(typed: Mapping[str, str], parameters: Sequence[str]) -> dict[str, str]:
    """Return the error of each field that has one; `parameters` are allowed by the operator."""

    def check_extra(text: str) -> None:
        check_allowed(parse_extra(text), parameters)

    checks: dict[str, Callable[[str], object]]
    checks = {"farm": parse_farm, "runmode": parse_run_mode, "extra": check_extra}
    errors = {}
    for field, check in checks.items():
        try:
            check(typed[field])
        except (InputError, NotThereError) as error:
            errors[field] = error.message
    return errors


def make_result(boot: Options, page_url: str, sha256: str) -> Result:
    """Return the addresses of `boot`, and a command that can be pasted."""
    file_name = f"{boot.file_name}.img"
    usb_url = f"{page_url}/usb/{boot.path}"
    return Result(
        boot=boot,
        file_name=file_name,
        usb_url=usb_url,
        script_url=f"{page_url}/ipxe/{boot.path}",
        curl=f"curl --fail --output {file_name} {shlex.quote(usb_url)}",
        sha256=sha256,
    )
