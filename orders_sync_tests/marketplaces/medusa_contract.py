"""Medusa's admin API (server 2.21) for the contract suite: every field, every state of orders, returns and claims."""

from decimal import Decimal
from typing import Any

from orders_sync.marketplaces.medusa import CLAIM_KIND, FULFILLMENT_STATUS, ORDER_STATUS, PAYMENT_STATUS, RETURN_STATE
from orders_sync.model.records import DocumentKind, ItemKind, Shipment
from orders_sync.model.statuses import Status
from orders_sync.testing.adapter_contract import AdapterContract, Example, StateTable, opened
from orders_sync.testing.field_mapping import address, day, day_text, item_of


def _address(prefix: str) -> dict[str, str]:
    return {
        "first_name": f"{prefix} first_name", "last_name": f"{prefix} last_name", "company": f"{prefix} company",
        "address_1": f"{prefix} street", "address_2": f"{prefix} street2", "postal_code": f"{prefix} postal_code",
        "city": f"{prefix} city", "province": f"{prefix} state", "country_code": f"{prefix} country",
        "phone": f"{prefix} phone",
    }  # fmt: skip


#: AdminOrder with its items and fulfilments, each field with a value of its own.
ORDER: dict[str, Any] = {
    "id": "order_1", "status": "pending", "payment_status": "captured", "fulfillment_status": "partially_shipped",
    "created_at": day_text(1), "updated_at": day_text(2), "email": "ada@example.com", "currency_code": "eur",
    "shipping_total": 5.99, "tax_total": 1.25, "shipping_address": _address("shipping"),
    "billing_address": _address("billing"),
    "payment_collections": [{"completed_at": day_text(3)}],
    "fulfillments": [
        {
            "id": "ful_1", "shipped_at": day_text(4), "canceled_at": None, "items": [{"line_item_id": "item_1", "quantity": 2}],
            "labels": [
                {
                    "id": "label_1", "tracking_number": "T-1", "tracking_url": "https://example.com/track",
                    "label_url": "https://example.com/label.pdf",
                }
            ],
        }
    ],
    "items": [
        {
            "id": "item_1", "quantity": 3, "variant_sku": "PHONE", "variant_id": "variant_1", "title": "Black",
            "product_title": "A phone", "is_giftcard": False, "requires_shipping": True, "raw_total": {"value": "599.70"}, "created_at": day_text(5),
            "detail": {"quantity": 3, "shipped_quantity": 2, "delivered_quantity": 0, "return_received_quantity": 1},
        }
    ],
}  # fmt: skip

RETURN: dict[str, Any] = {
    "id": "return_1", "status": "received", "items": [{"item_id": "item_1", "quantity": 2}], "created_at": day_text(1),
    "updated_at": day_text(2), "received_at": day_text(3), "canceled_at": None,
}  # fmt: skip
CLAIM: dict[str, Any] = {
    "id": "claim_1", "type": "refund", "claim_items": [{"item_id": "item_1", "quantity": 2}],
    "additional_items": [{"item_id": "item_2", "quantity": 1}], "created_at": day_text(1), "updated_at": day_text(2),
    "canceled_at": day_text(3),
}  # fmt: skip
EXCHANGE: dict[str, Any] = {
    "id": "oexc_1", "return": {"items": [{"item_id": "item_1", "quantity": 2}]},
    "additional_items": [{"item_id": "item_2", "quantity": 1}], "created_at": day_text(1), "updated_at": day_text(2),
}  # fmt: skip
#: The states that leave the decision to the payment, which is "captured".
BY_PAYMENT = Status.ACCEPTED

CONTRACT = AdapterContract(
    open=lambda: opened("medusa"),
    order=Example(
        ORDER,
        {
            "order_id": "order_1", "status": Status.ACCEPTED,
            "marketplace_state": "pending/captured/partially_shipped", "created_at": day(1), "modified_at": day(2),
            "paid_at": day(3), "shipped_at": day(4), "currency": "EUR", "items_total": Decimal("599.70"),
            "shipping_total": Decimal("5.99"), "sales_taxes": Decimal("1.25"), "country_code": "shipping country",
            "marketplace_delivery_note": False, "tracking_number": "T-1", "tracking_url": "https://example.com/track",
            "label_url": "https://example.com/label.pdf", "buyer_email": "ada@example.com",
            "shipping": address("shipping"), "billing": address("billing"),
            "documents": [
                {
                    "key": "label_1", "kind": DocumentKind.LABEL, "url": "https://example.com/label.pdf",
                    "carrier": None, "tracking_number": "T-1", "item_ids": ("item_1",), "expires_at": None,
                    "cancelled_at": None, "shipped_at": day(4),
                }
            ],
        },
        absent=["dispatch_due_at", "payment_method", "marketplace_shipping", "carrier", "delivery_note_url"],
    ),
    item=Example(
        {},
        {
            "item_id": "item_1", "sku": "PHONE", "quantity": 3, "status": Status.ACCEPTED,
            "marketplace_state": "2 shipped, 1 returned", "created_at": day(5), "currency": "EUR",
            "price": Decimal("599.70"), "product": "A phone", "listing_id": "variant_1", "kind": ItemKind.GOODS,
            "shipped": 2, "returned": 1, "shipments": (Shipment(2, day(4)),),
        },
        absent=["shipping_price", "fee", "imeis", "serial_numbers", "cancelled", "refunded"],
    ),
    care=[
        Example(
            RETURN,
            {
                "care_id": "return_1", "items": [item_of("item_1", 2)], "kind": "return", "state": "closed",
                "marketplace_state": "received", "opened_at": day(1), "modified_at": day(2), "closed_at": day(3),
                "received": True,
            },
        ),
        Example(
            CLAIM,
            {
                "care_id": "claim_1", "items": [item_of("item_1", 2)], "kind": "refund", "state": "cancelled",
                "marketplace_state": "canceled", "opened_at": day(1), "modified_at": day(2), "closed_at": day(3),
            },
            absent=["received"],
        ),
        Example(
            EXCHANGE,
            {
                "care_id": "oexc_1", "items": [item_of("item_1", 2)], "kind": "replacement", "state": "open",
                "opened_at": day(1), "modified_at": day(2),
            },
            absent=["marketplace_state", "closed_at", "received"],
        ),
    ],
    states=[
        StateTable(
            "OrderStatus", {"pending", "completed", "draft", "archived", "canceled", "requires_action"},
            {**dict.fromkeys(["pending", "completed", "archived", "requires_action"], BY_PAYMENT), **ORDER_STATUS},
            ("status",), lambda order: order.status, ORDER,
        ),
        StateTable(
            "PaymentStatus",
            {
                "not_paid", "awaiting", "authorized", "partially_authorized", "captured", "partially_captured",
                "partially_refunded", "refunded", "canceled", "requires_action",
            },
            PAYMENT_STATUS, ("payment_status",), lambda order: order.status, ORDER,
        ),
        StateTable(
            "FulfillmentStatus",
            {
                "not_fulfilled", "partially_fulfilled", "fulfilled", "partially_shipped", "shipped",
                "partially_delivered", "delivered", "canceled",
            },
            {
                **dict.fromkeys(["not_fulfilled", "partially_fulfilled", "fulfilled", "partially_shipped",
                                 "partially_delivered", "canceled"], BY_PAYMENT),
                **FULFILLMENT_STATUS,
            },
            ("fulfillment_status",), lambda order: order.status, ORDER,
        ),
        StateTable(
            "ReturnStatus", {"open", "requested", "received", "partially_received", "canceled"}, RETURN_STATE,
            ("status",), lambda care: care.state, RETURN, "care record", "unknown",
        ),
        StateTable(
            "ClaimType", {"refund", "replace"}, CLAIM_KIND, ("type",), lambda care: care.kind, CLAIM, "care record",
            "other",
        ),
    ],
)  # fmt: skip
