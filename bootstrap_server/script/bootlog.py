"""Reports of a boot's stages to the server: short, and never in the way of the boot."""

from bootstrap_server.options.model import Options
from bootstrap_server.script.commands import Line, Part, Ref, command, imgfetch, iseq, set_
from bootstrap_server.script.names import CODE
from bootstrap_server.script.site import Site

REPORT_MS = 2_000


def report_failure(options: Options, site: Site) -> list[Line]:
    """Tell why nothing came of it, while the card is still open."""
    return report(options, site, "failed", "&code=", CODE)


def report(options: Options, site: Site, stage: str, *more: Part) -> list[Line]:
    """Tell the server's boot log how far the node got; once that fails, no more is told."""
    if not site.has_log:
        return []
    farm = "" if options.farm is None else str(options.farm)
    url = (
        *(f"{site.public_url}/boot/{stage}?uuid=", Ref("uuid"), "&mac=", Ref("netX/mac")),
        *("&serial=", Ref("serial:uristring"), f"&farm={farm}&mode={options.run_mode}", *more),
    )
    return [
        iseq(Ref("reports"), "on")
        .then(imgfetch("report", url, REPORT_MS))
        .then(command("imgfree", "report"))
        .otherwise(set_("reports", "off"))
    ]
