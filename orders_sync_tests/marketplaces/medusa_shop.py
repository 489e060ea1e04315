"""A Medusa shop of scripted records over real HTTP: the lists that the syncs read, paged and filtered."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.config.account import SellerAccount
from orders_sync.marketplaces.kit.accounts import account_from

LISTS = ("orders", "returns", "claims", "exchanges")


class MedusaShop:
    """The records of each list; a test changes them as it likes."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {name: [] for name in LISTS}
        self.refused: set[str] = set()
        """The ids of orders for which a request by id is refused."""
        self.files: dict[str, bytes] = {}
        """The files of the shop, by path."""

    def app(self) -> Starlette:
        lists = [Route(f"/admin/{name}", self._list(name)) for name in LISTS]
        return Starlette(routes=[*lists, Route("/static/{path:path}", self._file)])

    def _file(self, request: Request) -> Response:
        content = self.files.get(request.url.path)
        return Response(status_code=404) if content is None else Response(content)

    def _list(self, name: str) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            query = request.query_params
            ids = query.getlist("id[]")
            if self.refused.intersection(ids):
                return JSONResponse({"type": "invalid_data", "message": "an odd id"}, 400)
            found = [
                record
                for record in self.records[name]
                if (not ids or record["id"] in ids)
                and _is_at_or_after(record["created_at"], query.get("created_at[$gte]"))
                and _is_at_or_after(record["updated_at"], query.get("updated_at[$gte]"))
                and not ("created_at[$lt]" in query and _is_at_or_after(record["created_at"], query["created_at[$lt]"]))
            ]
            start, size = int(query.get("offset", "0")), int(query["limit"])
            return JSONResponse({name: found[start : start + size], "count": len(found)})

        return answer


def _is_at_or_after(text: str, since: str | None) -> bool:
    return since is None or datetime.fromisoformat(text) >= datetime.fromisoformat(since)


def medusa_account(url: str, **settings: Any) -> SellerAccount:
    """An account at the shop. The environment variable MEDUSA_KEY must be set."""
    at_shop = {"marketplace": "medusa", "base_url": url, "token": "MEDUSA_KEY", "limits": {"enforced": False}}
    return account_from("shop", {**at_shop, **settings}, "defs.yaml")
