"""The audit log, for administrators.

GET /api/v1/audit?before=ID&subject=NAME&account=NAME&action=WORD    the newest 100 lines, before ID
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from flist.hub.accounts.administration import demand_admin
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import ADMIN, Viewer
from flist.hub.web.models import AuditLine
from flist.hub.web.viewers import Demand


def make_router(hub: Hub) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["audit"])

    @router.get("/api/v1/audit")
    def list_events(
        viewer: Annotated[Viewer, Depends(Demand(ADMIN))],
        before: Annotated[int, Query(ge=0, lt=1 << 62)] = 0,
        subject: Annotated[str, Query(max_length=500)] = "",
        account: Annotated[str, Query(max_length=100)] = "",
        action: Annotated[str, Query(max_length=40)] = "",
    ) -> list[AuditLine]:
        """List the newest lines, those before the line `before` if it is given."""
        demand_admin(viewer)
        found = hub.audit.page(before=before, subject=subject, account=account, action=action)
        return [AuditLine.of(event) for event in found]

    return router
