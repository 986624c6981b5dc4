"""An error as a page for browsers. Every other client gets the kit's problem+json."""

from starlette.requests import Request
from starlette.responses import Response

from bootstrap_server.pages import render_page
from serving.problems import Problem

_TITLES = {
    404: "Nothing is here",
    405: "This can only be read",
    416: "There is no such part",
    422: "This address makes no image",
    503: "Not ready yet",
}


def show_failure(request: Request, problem: Problem) -> Response:
    """Return the page that tells of `problem`."""
    page = render_page(
        "error.html",
        problem.status,
        root=request.app.state.server.settings.root_path,
        title=_TITLES.get(problem.status, problem.title),
        text=problem.detail,
        hint=problem.hint,
    )
    page.headers.update(problem.headers)
    return page
