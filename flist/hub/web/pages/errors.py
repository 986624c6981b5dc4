"""An error as a page for browsers. Every other client gets the kit's problem+json."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from flist.hub.state.viewer import ANYBODY, Viewer
from flist.hub.web.pages.shared import LOGIN, NEXT_CHARS, ROOT, find_provider, show_for
from serving.problems import Problem

TYPED_CHARS = 100
TITLES = {
    400: "This does not work",
    401: "Sign in first",
    403: "Not allowed",
    404: "Nothing is here",
    405: "This can only be read",
    409: "This is taken",
    413: "This is too large",
    416: "There is no such part",
    422: "This does not work",
    429: "Too often",
    503: "Not at the moment",
    507: "The disk is full",
}


def show_failure(request: Request, problem: Problem) -> Response:
    """Return the page that tells of `problem`; a sign-in that failed can be tried again there.

    The database is not asked: that may be what has failed.
    """
    me: Viewer = getattr(request.state, "viewer", None) or ANYBODY
    values: dict[str, Any]
    if request.url.path == f"{ROOT}{LOGIN}":
        typed = getattr(request.state, "typed", {})
        page = show_for(
            request,
            me,
            "signin.html",
            problem.status,
            here=LOGIN,
            errors={"password": problem.detail},
            typed=typed.get("username", "")[:TYPED_CHARS],
            next=typed.get("next", "")[:NEXT_CHARS],
            oidc_at=find_provider(request),
        )
    else:
        values = {
            "title": TITLES.get(problem.status, problem.title),
            "code": problem.status,
            "text": problem.detail,
            "hint": problem.hint,
        }
        page = show_for(request, me, "error.html", problem.status, **values)
    page.headers.update(problem.headers)
    return page
