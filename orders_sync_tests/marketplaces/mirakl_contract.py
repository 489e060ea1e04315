"""Mirakl's published contract for the contract suite: every field, every state of orders, order lines and returns."""

from decimal import Decimal
from typing import Any

from orders_sync.marketplaces.mirakl import LINE_STATUS, NOT_SHIPPED_STATUS, ORDER_STATUS, RETURN_STATE
from orders_sync.model.records import ItemKind, Shipment
from orders_sync.model.statuses import Status
from orders_sync.testing.adapter_contract import AdapterContract, Example, StateTable, opened
from orders_sync.testing.field_mapping import address, day, day_text, item_of

ORDER_STATES = {
    "STAGING", "WAITING_ACCEPTANCE", "WAITING_DEBIT", "WAITING_DEBIT_PAYMENT", "SHIPPING", "SHIPPED", "TO_COLLECT",
    "RECEIVED", "CLOSED", "REFUSED", "CANCELED", "WAITING_REFUND", "WAITING_REFUND_PAYMENT",
}  # fmt: skip
"""Schema OR11, order_state; the last two are published as deprecated."""
LINE_STATES = ORDER_STATES | {"INCIDENT_OPEN", "REFUNDED"}


def _address(prefix: str, **fields: Any) -> dict[str, Any]:
    """An address of schema OR11."""
    return {
        "firstname": f"{prefix} first_name", "lastname": f"{prefix} last_name", "company": f"{prefix} company",
        "street_1": f"{prefix} street", "street_2": f"{prefix} street2", "zip_code": f"{prefix} postal_code",
        "city": f"{prefix} city", "state": f"{prefix} state", "country": f"{prefix} name of the country",
        "country_iso_code": f"{prefix} country", "phone": f"{prefix} phone", **fields,
    }  # fmt: skip


#: Schema OR11, each field with a value of its own.
DISTINCT: dict[str, Any] = {
    "order_id": "Order_1-A", "commercial_id": "Order_1", "order_state": "RECEIVED", "created_date": day_text(1),
    "last_updated_date": day_text(2), "customer_debited_date": day_text(3), "shipping_deadline": day_text(5),
    "currency_iso_code": "USD", "price": 165.1, "shipping_price": 6.5, "total_price": 171.6, "fully_refunded": False,
    "channel": {"code": "US", "label": "Website US"}, "payment_type": "creditCard", "payment_workflow": "PAY_ON_DUE_DATE",
    "shipping_company": "UPS", "shipping_carrier_code": "UPS-1", "shipping_tracking": "5555",
    "shipping_tracking_url": "https://example.com/track", "customer_notification_email": "n@example.com",
    "customer": {
        "customer_id": "C1", "firstname": "Smith", "lastname": "Taylor", "shipping_address": _address("shipping"),
        "billing_address": _address("billing", country_iso_code=None, country="billing country"),
    },
    "order_lines": [
        {
            "order_line_id": "Order_1-A-1", "order_line_state": "SHIPPING", "offer_id": 2130, "offer_sku": "S2000",
            "product_sku": "P2000", "quantity": 3, "price": 82.4, "price_unit": 55, "shipping_price": 2.25,
            "total_commission": 21.3, "commission_fee": 17.04, "product_title": "Espresso machine",
            "created_date": day_text(6), "shipped_date": day_text(4), "refunds": [],
            "order_line_additional_fields": [
                {"code": "imei", "type": "STRING", "value": "356938035643809; 490154203237518"},
                {"code": "serial-number", "type": "MULTIPLE_VALUES_LIST", "value": ["SN-1", "SN 2"]},
                {"code": "delivery-countries", "type": "STRING", "value": "USA"},
            ],
        }
    ],
}  # fmt: skip

RETURN: dict[str, Any] = {
    "id": "f61b5db8", "state": "IN_PROGRESS", "date_created": day_text(1), "last_updated": day_text(2),
    "return_lines": [{"order_line_id": "Order_1-A-1", "quantity": 2}],
}  # fmt: skip
NOT_SHIPPED: dict[str, Any] = {
    **DISTINCT, "order_state": "SHIPPING", "order_lines": [{**DISTINCT["order_lines"][0], "shipped_date": None}],
}  # fmt: skip

CONTRACT = AdapterContract(
    open=lambda: opened(
        "mirakl", label_document_types=[], imei_fields=["imei"], serial_number_fields=["serial-number"]
    ),
    order=Example(
        DISTINCT,
        {
            "order_id": "Order_1-A", "status": Status.SHIPPED, "marketplace_state": "RECEIVED",
            "created_at": day(1), "modified_at": day(2), "paid_at": day(3), "shipped_at": day(4),
            "dispatch_due_at": day(5), "currency": "USD", "items_total": Decimal("165.1"),
            "shipping_total": Decimal("6.5"), "country_code": "US", "payment_method": "creditCard",
            "marketplace_shipping": False, "carrier": "UPS",
            "tracking_number": "5555", "tracking_url": "https://example.com/track", "buyer_email": "n@example.com",
            "shipping": address("shipping"), "billing": address("billing"),
        },
        absent=["sales_taxes", "marketplace_delivery_note", "delivery_note_url", "label_url", "documents"],
    ),
    item=Example(
        {},
        {
            "item_id": "Order_1-A-1", "sku": "S2000", "quantity": 3, "status": Status.ACCEPTED,
            "marketplace_state": "SHIPPING", "created_at": day(6), "currency": "USD", "price": Decimal("82.4"),
            "shipping_price": Decimal("2.25"), "fee": Decimal("21.3"), "product": "Espresso machine",
            "listing_id": "2130", "imeis": ("356938035643809", "490154203237518"),
            "serial_numbers": ("SN-1", "SN 2"), "kind": ItemKind.GOODS, "shipments": (Shipment(3, day(4)),),
        },
        absent=["cancelled", "shipped", "refunded", "returned"],
    ),
    care=[
        Example(
            RETURN,
            {
                "care_id": "f61b5db8", "items": [item_of("Order_1-A-1", 2)], "kind": "return", "state": "open",
                "marketplace_state": "IN_PROGRESS", "opened_at": day(1), "modified_at": day(2),
            },
            absent=["closed_at", "received"],
        )
    ],
    states=[
        StateTable(
            "OR11 order_state, shipped", ORDER_STATES, ORDER_STATUS, ("order_state",), lambda order: order.status,
            DISTINCT,
        ),
        StateTable(
            "OR11 order_state, not shipped", ORDER_STATES,
            {**ORDER_STATUS, **{s: status for s, status in NOT_SHIPPED_STATUS.items() if s in ORDER_STATUS}},
            ("order_state",), lambda order: order.status, NOT_SHIPPED,
        ),
        StateTable(
            "OR11 order_line_state, shipped", LINE_STATES, LINE_STATUS, ("order_lines", 0, "order_line_state"),
            lambda order: order.items[0].status, DISTINCT,
        ),
        StateTable(
            "OR11 order_line_state, not shipped", LINE_STATES, {**LINE_STATUS, **NOT_SHIPPED_STATUS},
            ("order_lines", 0, "order_line_state"), lambda order: order.items[0].status, NOT_SHIPPED,
        ),
        StateTable(
            "RT11 state",
            {"WAITING_ACCEPTANCE", "IN_PROGRESS", "REFUSED", "RECEIVED", "NO_RECEPTION", "CLOSED", "CANCELED"},
            RETURN_STATE, ("state",), lambda care: care.state, RETURN, "care record", "unknown",
        ),
    ],
)  # fmt: skip
