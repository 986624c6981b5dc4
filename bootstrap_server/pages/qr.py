"""An address as a QR code, drawn within the page."""

import segno
from markupsafe import Markup


def draw_qr(url: str) -> Markup:
    """Return an inline SVG that a phone's camera reads; dark on light in every colour scheme."""
    code = segno.make(url, micro=False, error="m")
    svg = code.svg_inline(
        border=4, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=True
    )
    # Nothing of the address is in the drawing as text.
    return Markup(svg.replace("<svg ", '<svg role="img" aria-label="QR code of this page" ', 1))  # noqa: S704
