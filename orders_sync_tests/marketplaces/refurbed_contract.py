"""refurbed's published contract for the contract suite: every field, every state of orders, items, returns, tickets."""

from decimal import Decimal
from typing import Any

from orders_sync.marketplaces.refurbed import ITEM_STATUS, ORDER_STATUS, RETURN_STATE, TICKET_STATE
from orders_sync.model.records import ItemKind
from orders_sync.model.statuses import Status
from orders_sync.testing.adapter_contract import AdapterContract, Example, StateTable, opened
from orders_sync.testing.field_mapping import address, day, day_text, item_of


def _address(prefix: str) -> dict[str, str]:
    """Definition Address."""
    return {
        "first_name": f"{prefix} first_name", "family_name": f"{prefix} last_name", "company_name": f"{prefix} company",
        "street_name": f"{prefix}", "house_no": "street", "supplement": f"{prefix} street2",
        "post_code": f"{prefix} postal_code", "town": f"{prefix} city", "country_code": f"{prefix} country",
        "phone_number": f"{prefix} phone",
    }  # fmt: skip


#: Definitions Order and OrderItem, each field with a value of its own.
DISTINCT: dict[str, Any] = {
    "id": "8100", "released_at": day_text(1), "state": "FULFILLED", "customer_email": "ada@example.com",
    "shipping_address": _address("shipping"), "invoice_address": _address("billing"), "currency_code": "PLN",
    "settlement_currency_code": "EUR", "total_charged": "1200.10", "total_paid": "1000.00", "total_refunded": "200.10",
    "total_vat_charged": "230.15", "payment_method": "STRIPE_KLARNA",
    "items": [
        {
            "id": "91", "order_id": "8100", "name": "iPhone 12", "state": "ACCEPTED", "sku": "IP12-64-B",
            "currency_code": "CZK", "total_charged": "999.50", "total_paid": "999.40", "total_refunded": "0.10",
            "settlement_total_commission": "23.5", "parcel_tracking_url": "https://example.com/track",
            "offer_data": {"offer_id": "77", "offer_version": "3", "shipping_costs": "12.50"},
            "item_identifiers": [
                {"identifier_type": "SERIAL_NUMBER", "value": "SN-1"},
                {"identifier_type": "IMEI", "value": "356938035643809"},
                {"identifier_type": "IMEI", "value": "490154203237518"},
            ],
        }
    ],
}  # fmt: skip

RETURN: dict[str, Any] = {
    "id": "7", "order_item_id": "91", "state": "REFUNDED", "return_initiated_at": day_text(1),
    "delivered_at": day_text(2),
}  # fmt: skip
TICKET: dict[str, Any] = {
    "id": "7", "marketplace_order_item": {"order_item_id": "91"}, "status": "PENDING",
    "topic_slug": "ask-for-a-replacement", "created_at": day_text(1), "updated_at": day_text(2),
}  # fmt: skip

CONTRACT = AdapterContract(
    open=lambda: opened("refurbed"),
    order=Example(
        DISTINCT,
        {
            "order_id": "8100", "status": Status.SHIPPED, "marketplace_state": "FULFILLED",
            "created_at": day(1), "currency": "PLN", "items_total": Decimal("1200.10"),
            "sales_taxes": Decimal("230.15"), "country_code": "shipping country", "payment_method": "STRIPE_KLARNA",
            "marketplace_delivery_note": False, "tracking_url": "https://example.com/track",
            "buyer_email": "ada@example.com", "shipping": address("shipping", state=None),
            "billing": address("billing", state=None),
        },
        absent=[
            "modified_at", "paid_at", "shipped_at", "dispatch_due_at", "shipping_total", "marketplace_shipping",
            "carrier", "tracking_number", "delivery_note_url", "label_url", "documents",
        ],
    ),
    item=Example(
        {},
        {
            "item_id": "91", "sku": "IP12-64-B", "quantity": 1, "status": Status.ACCEPTED,
            "marketplace_state": "ACCEPTED", "currency": "CZK", "price": Decimal("999.50"),
            "shipping_price": Decimal("12.50"), "fee": Decimal("23.5"), "product": "iPhone 12", "listing_id": "77",
            "imeis": ("356938035643809", "490154203237518"), "serial_numbers": ("SN-1",), "kind": ItemKind.GOODS,
        },
        absent=["created_at", "cancelled", "shipped", "refunded", "returned", "shipments"],
    ),
    care=[
        Example(
            RETURN,
            {
                "care_id": "return-7", "items": [item_of("91", 1)], "kind": "return", "state": "closed",
                "marketplace_state": "REFUNDED", "opened_at": day(1), "closed_at": day(2), "received": True,
            },
            absent=["modified_at"],
        ),
        Example(
            TICKET,
            {
                "care_id": "ticket-7", "items": [item_of("91", 1)], "kind": "replacement", "state": "open",
                "marketplace_state": "PENDING", "opened_at": day(1), "modified_at": day(2),
            },
            absent=["closed_at", "received"],
        ),
    ],
    states=[
        StateTable(
            "OrderState",
            {
                "UNSPECIFIED", "NEW", "REJECTED", "CANCELLED", "ACCEPTED", "SHIPPED", "RETURNED", "FULFILLED",
                "UNFULFILLED", "PARTIALLY_FULFILLED",
            },
            ORDER_STATUS, ("state",), lambda order: order.status, DISTINCT,
        ),
        StateTable(
            "OrderItemState",
            {"UNSPECIFIED", "NEW", "REJECTED", "CANCELLED", "ACCEPTED", "SHIPPED", "RETURNED"},
            ITEM_STATUS, ("items", 0, "state"), lambda order: order.items[0].status, DISTINCT,
        ),
        StateTable(
            "OrderItemReturnState",
            {"UNSPECIFIED", "UNKNOWN", "INITIATED", "IN_TRANSIT", "DELIVERED", "REFUNDED", "CONCLUDED"},
            RETURN_STATE, ("state",), lambda care: care.state, RETURN, "care record", "unknown",
        ),
        StateTable(
            "TicketStatus", {"UNSPECIFIED", "OPEN", "PENDING", "SOLVED", "CLOSED"}, TICKET_STATE, ("status",),
            lambda care: care.state, TICKET, "care record", "unknown",
        ),
    ],
)  # fmt: skip
