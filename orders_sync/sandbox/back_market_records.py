"""The world's orders, deliveries and Care folders as documents of Back Market's published schemas."""

from typing import Any

from orders_sync.sandbox.entities import ACCEPTED, DAY, NEW, NOT_PAID, PAID, Folder, Line, SandboxOrder
from orders_sync.sandbox.formats import cents, iso, stamp


def order_state(order: SandboxOrder) -> int:
    """The order's state, derived from the states of its lines (schema OrderState)."""
    states = {line.state for line in order.lines}
    if states == {NEW}:
        return 0
    if states == {NOT_PAID}:
        return 8
    if PAID in states:
        return 1
    if ACCEPTED in states:
        return 3
    return 9


def order_record(order: SandboxOrder, address: str) -> dict[str, Any]:
    """An order as a document of the contract's schema Order. `address`: where its delivery note is served."""
    total = sum(line.price * line.quantity for line in order.lines)
    record: dict[str, Any] = {
        "order_id": order.id,
        "shipping_address": order.buyer,
        "billing_address": order.buyer,
        "expected_dispatch_date": (order.created + 2 * DAY).strftime("%Y-%m-%dT%H:%M:%S"),
        "tracking_number": order.tracking or "",
        "shipper_display": "Colissimo",
        "is_backship": True,
        "date_creation": stamp(order.created),
        "date_modification": stamp(order.modified),
        "state": order_state(order),
        "orderlines": [line_record(line, order) for line in order.lines],
        "price": cents(total),
        "shipping_price": "5.99",
        "currency": "EUR",
        "country_code": order.country_code,
        "paypal_reference": None,
        "installment_payment": False,
        "payment_method": "CARD" if order.id % 3 else "PAYPAL",
        "sales_taxes": "0.00",
    }
    if order.note:
        record["delivery_note"] = address + order.note
    if order.tracking:
        record["tracking_url"] = f"https://carrier.example.com/{order.tracking}"
    if order.paid:
        record["date_payment"] = stamp(order.paid)
    if order.shipped:
        record["date_shipping"] = stamp(order.shipped)
    return record


def line_record(line: Line, order: SandboxOrder) -> dict[str, Any]:
    """An orderline as a document of the contract's schema OrderLine."""
    return {
        "id": line.id,
        "date_creation": stamp(order.created),
        "state": line.state,
        "price": cents(line.price * line.quantity),
        "shipping_price": "5.99",
        "shipping_delay": 48,
        "currency": "EUR",
        "return_reason": 0,
        "return_message": "",
        "listing": line.sku,
        "listing_id": 100_000 + sum(map(ord, line.sku)),
        "orderline_fee": cents(line.price * line.quantity // 10),
        "product": line.product,
        "quantity": line.quantity,
        "brand": line.brand,
        "product_id": 1_000 + sum(map(ord, line.sku)),
        "backcare": False,
        "backcare_price": 0,
        "sales_taxes": "0.00",
        "imei": line.imei() or "",
        "serial_number": line.serial_number() or "",
        "condition": 11,
    }


def delivery_record(order: SandboxOrder) -> dict[str, Any]:
    """A delivery as a document of the contract's schema Delivery. The order must have a label."""
    assert order.label_made is not None
    made = order.label_made.isoformat(timespec="seconds")
    return {
        "order": order.id,
        "shipmentId": order.id + 1,
        "carrierId": 42,
        "orderlines": [line.id for line in order.lines],
        "referenceNumber": str(order.id),
        "trackingNumber": order.tracking or f"TRACK{order.id}",
        "trackingUrl": f"https://carrier.example.com/TRACK{order.id}",
        "carrierName": "Chronopost",
        "hubScanned": order.shipped is not None,
        "invoicedCurrency": "EUR",
        "invoicedPrice": 30,
        "datePickup": made,
        "dateCreation": made,
        "dateDelivery": made,
        "labelUrl": order.label,
        "type": "DELIVERY",
        "pickupInfo": {
            "confirmationNumber": "1231NB",
            "datePickupActual": made,
            "datePickupRangeStart": made,
            "datePickupRangeEnd": made,
            "datePickupRequested": made[:10],
            "isCanceled": False,
            "pickupId": 42,
        },
    }


def folder_record(folder: Folder) -> dict[str, Any]:
    """A Care folder as the list shows it: a document of the schema careFolder."""
    record: dict[str, Any] = {
        "id": folder.id,
        "client": folder.order_id,
        "merchant": 789,
        "orderline": folder.line_id,
        "date_creation": iso(folder.created),
        "date_modification": iso(folder.modified),
        "date_last_message": iso(folder.created),
        "state": 9 if folder.closed else 0,
        "lines": [folder.id * 10],
        "country_code": "fr-fr",
        "backcare": False,
    }
    if folder.closed:
        record["date_closed"] = iso(folder.closed)
    return record


def folder_detail(folder: Folder, order: SandboxOrder) -> dict[str, Any]:
    """A Care folder in full: a document of the schema getCareFolderDetailsResponse."""
    line = next(line for line in order.lines if line.id == folder.line_id)
    labels = [
        {
            "date_creation": iso(folder.created),
            "state": "USED" if folder.closed else "ALIVE",
            "label": f"https://documents.example.com/return_label/{folder.id}.pdf",
            "initiator": "Merchant",
            "kind": "CUSTOMER_TO_MERCHANT",
        }
    ]
    claim: dict[str, Any] = {
        "id": folder.id * 10,
        "issues": [{"customerIssue": "BATTERY_NOT_CHARGING", "tag": "TECHNICAL"}],
        "state": 9 if folder.closed else 0,
        "declared_warranty_state": "IN_WARRANTY",
        "return_labels": labels if folder.returned else [],
    }
    if folder.choice:
        claim["resolution_choice"] = folder.choice
    detail = folder_record(folder)
    del detail["client"], detail["merchant"]
    return {
        **detail,
        "client": {
            "first_name": order.buyer["firstName"],
            "last_name": order.buyer["lastName"],
            "email": f"buyer{order.id}@mail.example.com",
        },
        "merchant": {"id": 789, "username": "seller", "first_name": "Rose", "last_name": "Bush"},
        "lines": [claim],
        "messages": [],
        "orderline": {
            "id": line.id,
            "order": {"order_id": order.id, "state": 9 if order.shipped else 3, "currency": "EUR"},
            "quantity": line.quantity,
            "price": cents(line.price),
            "state": line.state,
        },
    }
