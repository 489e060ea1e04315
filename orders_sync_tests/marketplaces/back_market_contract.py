"""Back Market's published contract (OpenAPI 0.1.1) for the contract suite: every field, and the two tables of states."""

from typing import Any

from orders_sync.marketplaces.back_market import CARE_KIND, CARE_STATE, ITEM_STATUS, ORDER_STATUS
from orders_sync.model.records import ItemKind
from orders_sync.model.statuses import Status
from orders_sync.testing.adapter_contract import AdapterContract, Example, StateTable, opened
from orders_sync.testing.field_mapping import address, day, day_text, item_of


def _address(prefix: str) -> dict[str, Any]:
    """Schema Address."""
    return {
        "id": 1, "firstName": f"{prefix} first_name", "lastName": f"{prefix} last_name", "company": f"{prefix} company",
        "street": f"{prefix} street", "street2": f"{prefix} street2", "postalCode": f"{prefix} postal_code",
        "city": f"{prefix} city", "state": f"{prefix} state", "country": f"{prefix} country",
        "phoneNumber": f"{prefix} phone",
    }  # fmt: skip


#: Schemas Order and OrderLine, each field with a value of its own.
ORDER: dict[str, Any] = {
    "order_id": 5978, "state": 9, "date_creation": day_text(1), "date_modification": day_text(2),
    "date_payment": day_text(3), "date_shipping": day_text(4), "expected_dispatch_date": "2026-03-05T10:30:00",
    "currency": "EUR", "price": "299.25", "shipping_price": "5.99", "sales_taxes": "25.80", "country_code": "fr-fr",
    "payment_method": "PAYPAL", "is_backship": True, "shipper_display": "Colissimo", "tracking_number": "T-1",
    "tracking_url": "https://example.com/track", "delivery_note": "https://example.com/note.pdf",
    "paypal_reference": "PP-1", "installment_payment": False,
    "shipping_address": _address("shipping"), "billing_address": _address("billing"),
    "orderlines": [
        {
            "id": 37195, "state": 2, "date_creation": day_text(6), "price": "229.00", "shipping_price": "1.50",
            "currency": "USD", "orderline_fee": "22.90", "listing": "IPHONE416GONLIB0", "listing_id": 142,
            "product": "Apple iPhone 4", "quantity": 2, "brand": "apple", "product_id": 141, "imei": "011415009346880",
            "serial_number": "SN-1", "sales_taxes": "3.20", "backcare_price": 500, "shipping_delay": 48,
        }
    ],
}  # fmt: skip

FOLDER: dict[str, Any] = {
    "id": 71, "orderline": {"id": 37195}, "state": 9, "date_creation": day_text(1),
    "date_modification": day_text(2), "date_closed": day_text(3),
    "lines": [{"resolution_choice": "REPLACE", "return_labels": []}],
}  # fmt: skip

CONTRACT = AdapterContract(
    open=lambda: opened("back_market"),
    order=Example(
        ORDER,
        {
            "order_id": "5978", "status": Status.SHIPPED, "marketplace_state": "9",
            "created_at": day(1), "modified_at": day(2), "paid_at": day(3), "shipped_at": day(4),
            "dispatch_due_at": day(5), "currency": "EUR", "items_total": "299.25", "shipping_total": "5.99",
            "sales_taxes": "25.80", "country_code": "fr-fr", "payment_method": "PAYPAL", "marketplace_shipping": True,
            "carrier": "Colissimo", "tracking_number": "T-1", "tracking_url": "https://example.com/track",
            "delivery_note_url": "https://example.com/note.pdf", "shipping": address("shipping"),
            "billing": address("billing"),
        },
        absent=["marketplace_delivery_note", "label_url", "buyer_email", "documents"],
    ),
    item=Example(
        {},
        {
            "item_id": "37195", "sku": "IPHONE416GONLIB0", "quantity": 2, "status": Status.ACCEPTED,
            "marketplace_state": "2", "created_at": day(6), "currency": "USD", "price": "229.00",
            "shipping_price": "1.50", "fee": "22.90", "product": "Apple iPhone 4", "listing_id": "142",
            "imeis": ("011415009346880",), "serial_numbers": ("SN-1",), "kind": ItemKind.GOODS,
        },
        absent=["cancelled", "shipped", "refunded", "returned", "shipments"],
    ),
    care=[
        Example(
            FOLDER,
            {
                "care_id": "71", "items": [item_of("37195", None)], "kind": "replacement", "state": "closed",
                "marketplace_state": "9", "opened_at": day(1), "modified_at": day(2), "closed_at": day(3),
            },
            absent=["received"],
        )
    ],
    states=[
        StateTable(
            "OrderState", {0, 10, 1, 3, 8, 9}, ORDER_STATUS, ("state",), lambda order: order.status, ORDER
        ),
        StateTable(
            "OrderLineState", {0, 9, 8, 1, 2, 3, 4, 5, 6, 7}, ITEM_STATUS, ("orderlines", 0, "state"),
            lambda order: order.items[0].status, ORDER,
        ),
        StateTable(
            "careFolder.state", {0, 9}, CARE_STATE, ("state",), lambda care: care.state, FOLDER, "care record", "unknown"
        ),
        StateTable(
            "claim.resolution_choice", {"REMOTE_ASSISTANCE", "REPAIR", "REPLACE", "REPAIR_REPLACE", "REFUND"},
            CARE_KIND, ("lines", 0, "resolution_choice"), lambda care: care.kind, FOLDER, "care record", "other",
        ),
    ],
)  # fmt: skip
