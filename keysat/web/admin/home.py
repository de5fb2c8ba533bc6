"""The operator's first page: where to go from here."""

from litestar import Response, get

from keysat.web.admin.door import PATH, admin_page, signed_in
from keysat.web.provide import WithVisit


@get("/", guards=[signed_in()])
async def show_home(visit: WithVisit) -> Response[str]:
    return admin_page(visit, "admin/home.html", at=PATH)


ROUTES = (show_home,)
