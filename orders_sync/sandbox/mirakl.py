"""The fake Mirakl, as published: OR11 (orders), OR21 (acceptance), OR72 and OR73 (documents), RT11 (returns)."""

import io
import json
import zipfile
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orders_sync.sandbox.document_files import pdf_of
from orders_sync.sandbox.entities import (
    ACCEPTED,
    CANCELLED,
    DAY,
    MINUTE,
    NEW,
    NOT_PAID,
    PAID,
    REFUNDED_EARLY,
    REFUNDED_LATE,
    SHIPPED,
    Folder,
    Line,
    SandboxOrder,
)
from orders_sync.sandbox.fake_marketplace import FakeMarketplace, at_or_after, parse_time
from orders_sync.sandbox.formats import known, stamp

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 10
DELTA = 2 * MINUTE
"""How far before `start_update_date` the list starts; Mirakl's documentation announces it."""

STATE = {
    NEW: "STAGING",
    NOT_PAID: "CANCELED",
    PAID: "WAITING_ACCEPTANCE",
    ACCEPTED: "SHIPPING",
    REFUNDED_EARLY: "SHIPPING",
    SHIPPED: "SHIPPED",
    CANCELLED: "CANCELED",
    REFUNDED_LATE: "RECEIVED",
}
#: An order has the state of its line that is furthest from the end.
PROGRESS = ("STAGING", "WAITING_ACCEPTANCE", "SHIPPING", "SHIPPED", "RECEIVED", "REFUSED", "CANCELED")
ISO_3 = {"FR": "FRA", "DE": "DEU", "ES": "ESP", "IT": "ITA"}
SHIPPING_CENTS = 599
"""The shipping price of each line."""
IMEI_FIELD = "imei"
SERIAL_NUMBER_FIELD = "serial-number"
"""The codes of the operator's additional fields of a line."""


class FakeMirakl(FakeMarketplace):
    """Mirakl's contract over the sandbox's world."""

    name = "mirakl"
    accepts_in_part = True
    """Whether the shop may accept some lines of an order and refuse others."""

    def routes(self) -> list[Route]:
        return [
            Route("/api/orders", self.guarded(self.list_orders)),
            Route("/api/orders/documents", self.guarded(self.list_documents)),
            Route("/api/orders/documents/download", self.guarded(self.download_documents)),
            Route("/api/orders/{order_id}/accept", self.guarded(self.accept_lines), methods=["PUT"]),
            Route("/api/returns", self.guarded(self.list_returns)),
        ]

    def precheck(self, request: Request) -> Response | None:
        if request.headers.get("authorization") != self.token:
            return JSONResponse({"message": "Unauthorized", "status": 401}, 401)
        return None

    async def list_orders(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        try:
            created, updated = parse_time(query.get("start_date")), parse_time(query.get("start_update_date"))
            created_to, updated_to = parse_time(query.get("end_date")), parse_time(query.get("end_update_date"))
            size, offset = int(query.get("max", str(DEFAULT_PAGE_SIZE))), int(query.get("offset", "0"))
        except ValueError as error:
            return _bad_request(str(error))
        if not 1 <= size <= MAX_PAGE_SIZE or offset < 0:
            return _bad_request(f"max must be between 1 and {MAX_PAGE_SIZE}")
        if self.has_fault("no_filter", request):
            created = updated = None
        ids = query["order_ids"].split(",") if "order_ids" in query else None
        states = query["order_state_codes"].split(",") if "order_state_codes" in query else None
        found = [
            record
            for record in self.listed()
            if (ids is None or record["order_id"] in ids)
            and (states is None or record["order_state"] in states)
            and (created is None or at_or_after(record.get("created_date"), created))
            and (created_to is None or not at_or_after(record.get("created_date"), created_to))
            and (updated is None or at_or_after(record.get("last_updated_date"), updated - DELTA))
            and (updated_to is None or not at_or_after(record.get("last_updated_date"), updated_to))
        ]
        return {"orders": found[offset : offset + size], "total_count": len(found)}

    async def accept_lines(self, request: Request) -> Response:
        order_id = request.path_params["order_id"]
        record = next((record for record in self.listed() if record["order_id"] == order_id), None)
        if record is None:
            return _error(404, "ORDER_NOT_FOUND")
        try:
            decisions = [(line["id"], line["accepted"]) for line in json.loads(await request.body())["order_lines"]]
        except (ValueError, KeyError, TypeError):
            return _bad_request("VALIDATION_ERROR")
        problem = _refused_decisions(record, decisions, in_part=self.accepts_in_part)
        self.controls.writes.append({"order_id": order_id, "order_lines": dict(decisions), "problem": problem})
        if problem is not None:
            return _bad_request(problem)
        self._decide(record, dict(decisions))
        return Response(status_code=204)

    def _decide(self, record: dict[str, Any], decisions: dict[str, bool]) -> None:
        """Accepts or refuses lines that wait, by their ids."""
        if record["order_id"] in self.world.scripted:
            for line in record["order_lines"]:
                if line["order_line_id"] in decisions:
                    line["order_line_state"] = "SHIPPING" if decisions[line["order_line_id"]] else "REFUSED"
            record["order_state"] = _order_state({line["order_line_state"] for line in record["order_lines"]})
            record["last_updated_date"] = stamp(self.clock.now())
            self.world.version += 1
            return
        order = next(order for order in self.world.orders.values() if order_id(order) == record["order_id"])
        for number, line in enumerate(order.lines, 1):
            accepted = decisions.get(line_id(number, order))
            if accepted is not None:
                self.world.merchant_sets(order.id, ACCEPTED if accepted else CANCELLED, None, self.clock.now(), line.id)
        self.save_actions()

    async def list_documents(self, request: Request) -> dict[str, Any] | Response:
        if "order_ids" not in request.query_params:
            return _bad_request("order_ids is required")
        order_ids = set(request.query_params["order_ids"].split(","))
        documents = [
            {
                "id": number,
                "order_id": order_id(order),
                "type": kind,
                "file_name": f"{kind.lower()}-{order.id}.pdf",
                "file_size": len(content),
                "date_uploaded": stamp(order.modified),
            }
            for order in self.world.orders.values()
            if order_id(order) in order_ids
            for number, (kind, content) in _documents(order).items()
        ]
        return {"order_documents": documents, "total_count": len(documents)}

    async def download_documents(self, request: Request) -> Response:
        ids = request.query_params.get("document_ids", "").split(",")
        if not all(number.isdecimal() for number in ids):
            return _bad_request("document_ids is required: the sandbox downloads documents by their ids only")
        found: dict[str, bytes] = {}
        for number in map(int, ids):
            order = self.world.orders.get(number // 10)
            documents = _documents(order) if order is not None else {}
            if order is None or number not in documents:
                return _error(404, "DOCUMENT_NOT_FOUND")
            kind, content = documents[number]
            found[f"{order_id(order)}/{kind.lower()}-{order.id}.pdf"] = content
        only = next(iter(found.values()))
        return Response(only if len(ids) == 1 else _archive(found), media_type="application/octet-stream")

    async def list_returns(self, request: Request) -> dict[str, Any] | Response:
        query = request.query_params
        since = parse_time(query.get("return_last_updated_from"))
        states = query.getlist("return_state")
        limit, start = int(query.get("limit", "10")), int(query.get("page_token", "0"))
        folders = sorted(self.world.folders.values(), key=lambda folder: (folder.created, folder.id))
        found = [return_record(folder, self.world.orders[folder.order_id]) for folder in folders]
        found += self.world.scripted_folders.values()
        found = [
            record
            for record in found
            if (since is None or at_or_after(record["last_updated"], since))
            and (not states or record["state"] in states)
        ]
        page: dict[str, Any] = {"data": found[start : start + limit]}
        if start + limit < len(found):
            page["next_page_token"] = str(start + limit)
        if start:
            page["previous_page_token"] = str(max(0, start - limit))
        return page

    def listed(self) -> list[dict[str, Any]]:
        """All orders, sorted by creation."""
        made = [order_record(order) for order in self.world.orders.values()]
        made += self.world.scripted.values()
        return sorted(made, key=lambda record: (str(record.get("created_date")), str(record["order_id"])))


def _documents(order: SandboxOrder) -> dict[int, tuple[str, bytes]]:
    """The documents that an order has by now: type and content, by the document's id."""
    made = (
        (order.note, "SYSTEM_DELIVERY_BILL", "Delivery note"), (order.label, "SHIPPING_LABEL", "Shipping label"),
    )  # fmt: skip
    return {order.id * 10 + n: (kind, pdf_of(title, order)) for n, (path, kind, title) in enumerate(made) if path}


def _archive(files: dict[str, bytes]) -> bytes:
    """A ZIP archive of files, by their names."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return written.getvalue()


def order_id(order: SandboxOrder) -> str:
    """The id of an order in Mirakl's form."""
    return f"Order_{order.id}-A"


def order_record(order: SandboxOrder) -> dict[str, Any]:
    """An order as a document of OR11."""
    lines = [line_record(number, line, order) for number, line in enumerate(order.lines, 1)]
    states = {line["order_line_state"] for line in lines}
    price = sum(line.price * line.quantity for line in order.lines)
    shipping_price = SHIPPING_CENTS * len(order.lines)
    address = {
        "firstname": order.buyer["firstName"], "lastname": order.buyer["lastName"], "street_1": order.buyer["street"],
        "zip_code": order.buyer["postalCode"], "city": order.buyer["city"], "country": order.buyer["country"],
        "country_iso_code": ISO_3[order.buyer["country"]], "phone": order.buyer["phoneNumber"],
    }  # fmt: skip
    remaining = {line.state for line in order.lines if line.state not in (CANCELLED, NOT_PAID)}
    is_accepted = not states & {"STAGING", "WAITING_ACCEPTANCE"}
    record = {
        "order_id": order_id(order),
        "commercial_id": f"Order_{order.id}",
        "created_date": stamp(order.created),
        "last_updated_date": stamp(order.modified),
        "customer_debited_date": stamp(order.paid) if order.paid else None,
        "shipping_deadline": stamp(order.created + 2 * DAY),
        "order_state": _order_state(states),
        "currency_iso_code": "EUR",
        "price": price / 100,
        "shipping_price": shipping_price / 100,
        "total_price": (price + shipping_price) / 100,
        "total_commission": sum(_commission(line) for line in order.lines) / 100,
        "payment_type": "CARD",
        "paymentType": "CARD",
        "payment_workflow": "PAY_ON_ACCEPTANCE",
        "order_tax_mode": "TAX_INCLUDED",
        "shipping_type_code": "STD",
        "shipping_type_label": "Standard",
        "shipping_zone_code": "EU",
        "shipping_zone_label": "Europe",
        "shipping_company": "Chronopost",
        "shipping_tracking": order.tracking,
        "shipping_tracking_url": f"https://carrier.example.com/{order.tracking}" if order.tracking else None,
        "leadtime_to_ship": 2,
        "can_cancel": False,
        "can_shop_ship": "SHIPPING" in states,
        "fully_refunded": bool(remaining) and remaining <= {REFUNDED_EARLY, REFUNDED_LATE},
        "has_customer_message": False,
        "has_incident": False,
        "has_invoice": False,
        "fulfillment": {"center": {"code": "DEFAULT"}},
        "channel": {"code": order.country_code[-2:].upper(), "label": "Website"},
        "customer_notification_email": f"buyer{order.id}@mail.example.com",
        "customer": {
            "customer_id": f"Customer_{order.id}",
            "firstname": order.buyer["firstName"],
            "lastname": order.buyer["lastName"],
            # "Null before shipping (or acceptance, depending on platform setting)", although the schema requires an
            # address: null is the harder case for an adapter.
            "shipping_address": address if is_accepted else None,
            "billing_address": address if is_accepted else None,
        },
        "order_lines": lines,
    }
    return known(record)


def line_record(number: int, line: Line, order: SandboxOrder) -> dict[str, Any]:
    """An order line as a document of OR11; `number` counts from 1."""
    price, commission = line.price * line.quantity, _commission(line) / 100
    refund = {
        "id": str(line.id), "order_refund_id": f"refund-{line.id}", "amount": price / 100, "quantity": line.quantity,
        "refund_state": "REFUNDED", "state": "REFUNDED", "reason_code": "34", "created_date": stamp(order.modified),
        "commission_amount": commission, "commission_tax_amount": 0, "commission_total_amount": commission,
        "commission_taxes": [{"amount": 0, "code": "TAXZERO"}],
    }  # fmt: skip
    is_refunded = line.state in (REFUNDED_EARLY, REFUNDED_LATE)
    number_of_product = sum(map(ord, line.sku))
    record = {
        "order_line_id": line_id(number, order),
        "order_line_index": number,
        "order_line_state": "REFUSED" if line.refused else STATE[line.state],
        "offer_id": 100_000 + number_of_product,
        "offer_sku": line.sku,
        "offer_state_code": "11",
        "product_sku": f"MKP{number_of_product}",
        "product_title": line.product,
        "product_medias": [
            {"media_url": f"/media/product/image/{number_of_product}", "mime_type": "JPEG", "type": "LARGE"}
        ],
        "category_code": "SMARTPHONES",
        "category_label": "Smartphones",
        "description": "",
        "quantity": line.quantity,
        "price": price / 100,
        "price_unit": line.price / 100,
        "shipping_price": SHIPPING_CENTS / 100,
        "total_price": (price + SHIPPING_CENTS) / 100,
        "commission_fee": commission,
        "commission_rate_vat": 0,
        "commission_vat": 0,
        "commission_taxes": [{"amount": 0, "code": "TAXZERO", "rate": 0}],
        "total_commission": commission,
        "created_date": stamp(order.created),
        "last_updated_date": stamp(order.modified),
        "shipped_date": stamp(order.shipped) if order.shipped and line.state in (SHIPPED, REFUNDED_LATE) else None,
        "can_refund": line.state in (ACCEPTED, SHIPPED),
        "order_line_additional_fields": _additional_fields(line),
        "cancelations": [],
        "refunds": [refund] if is_refunded else [],
    }
    return known(record)


def _additional_fields(line: Line) -> list[dict[str, str]]:
    """The fields that this operator wants to know of each line."""
    named = ((IMEI_FIELD, line.imei()), (SERIAL_NUMBER_FIELD, line.serial_number()))
    return [{"code": code, "type": "STRING", "value": value} for code, value in named if value is not None]


def _commission(line: Line) -> int:
    """The operator's commission on a line, in cents, without tax."""
    return line.price * line.quantity // 10


def line_id(number: int, order: SandboxOrder) -> str:
    """The id of an order's line; `number` counts from 1."""
    return f"{order_id(order)}-{number}"


def return_record(folder: Folder, order: SandboxOrder) -> dict[str, Any]:
    """A return as a document of RT11."""
    number = next(number for number, line in enumerate(order.lines, 1) if line.id == folder.line_id)
    return {
        "id": f"return-{folder.id}",
        "order_id": order_id(order),
        "order_commercial_id": f"Order_{order.id}",
        "state": "CLOSED" if folder.closed else "IN_PROGRESS",
        "date_created": stamp(folder.created),
        "last_updated": stamp(folder.modified),
        "method_code": "RETURN_METHOD_BY_MAIL",
        "reason_code": "RETURN_CHANGED_MIND",
        "return_address": {
            "street1": "1, Imaginary Street",
            "zip_code": "75003",
            "city": "Paris",
            "country_iso_code": "FRA",
        },
        "return_lines": [
            {"order_line_id": line_id(number, order), "quantity": 1, "reason_code": "RETURN_CHANGED_MIND"}
        ],
        "documents": [],
    }


def _order_state(line_states: set[str]) -> str:
    return next(state for state in PROGRESS if state in line_states)


def _refused_decisions(record: dict[str, Any], decisions: list[tuple[str, bool]], *, in_part: bool) -> str | None:
    """The code of OR21's error; None if the decisions are about all lines that wait, and about no others."""
    states = {line["order_line_id"]: line["order_line_state"] for line in record["order_lines"]}
    waiting = {line for line, state in states.items() if state == "WAITING_ACCEPTANCE"}
    decided = {line for line, _ in decisions}
    if len(decided) < len(decisions):
        return "ORDER_LINE_DUPLICATE_ID"
    if decided - set(states):
        return "ORDER_LINE_NOT_FOUND"
    if not waiting or decided - waiting:
        return "ORDER_INVALID_STATE"
    if decided != waiting:
        return "ORDER_LINE_ACCEPTANCE_DECISION_MISSING"
    return None if in_part or len({accepted for _, accepted in decisions}) == 1 else "ORDER_PARTIAL_ACCEPTANCE_DISABLED"


def _bad_request(message: str) -> Response:
    return _error(400, message)


def _error(status: int, message: str) -> Response:
    return JSONResponse({"message": message, "status": status}, status)
