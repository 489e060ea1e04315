"""A Medusa shop that is filled through its own admin API, as a merchant would."""

from typing import Any

import httpx

from orders_sync.testing.waiting import limit

ADDRESS = {
    "first_name": "Ada", "last_name": "Lovelace", "address_1": "Ring 1", "city": "Berlin", "country_code": "de",
    "postal_code": "10115", "phone": "+4930",
}  # fmt: skip
PRICES = {"PHONE": 199.90, "CASE": 9.99, "CABLE": 0.1}


class Shop:
    """A shop with all that it needs to sell; its methods bring orders into every state."""

    def __init__(self, url: str, key: str) -> None:
        self.client = httpx.Client(base_url=url, auth=(key, ""), timeout=limit(60), trust_env=False)
        self.channel = self._sales_channel()
        self.region = self.post("/admin/regions", name="EU", currency_code="eur", countries=["de"])["region"]["id"]
        location = self.post(
            "/admin/stock-locations", name="W", address={"address_1": "A", "country_code": "de", "city": "Berlin"}
        )["stock_location"]["id"]
        self.location = location
        self.post(f"/admin/stock-locations/{location}/sales-channels", add=[self.channel])
        self.post(f"/admin/stock-locations/{location}/fulfillment-providers", add=["manual_manual"])
        self.post(f"/admin/stock-locations/{location}/fulfillment-sets", name="set", type="shipping")
        found = self.get(f"/admin/stock-locations/{location}", fields="*fulfillment_sets")
        fulfillment_set = found["stock_location"]["fulfillment_sets"][0]["id"]
        zones = self.post(
            f"/admin/fulfillment-sets/{fulfillment_set}/service-zones",
            name="DE", geo_zones=[{"type": "country", "country_code": "de"}],
        )  # fmt: skip
        zone = zones["fulfillment_set"]["service_zones"][0]["id"]
        profiles = self.get("/admin/shipping-profiles")["shipping_profiles"]
        profile = profiles[0]["id"] if profiles else self._shipping_profile()
        self.shipping = self.post(
            "/admin/shipping-options", name="Standard", service_zone_id=zone, shipping_profile_id=profile,
            provider_id="manual_manual", price_type="flat", type={"label": "s", "description": "s", "code": "s"},
            prices=[{"currency_code": "eur", "amount": 5.99}], rules=[],
        )["shipping_option"]["id"]  # fmt: skip
        self.variants = {sku: self._product(sku, price, profile) for sku, price in PRICES.items()}

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._checked(self.client.get(path, params=query))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._checked(self.client.post(path, json=body))

    @staticmethod
    def _checked(answer: httpx.Response) -> dict[str, Any]:
        assert answer.is_success, f"{answer.request.url.path}: {answer.status_code} {answer.text[:500]}"
        return dict(answer.json())

    def _sales_channel(self) -> str:
        channels = self.get("/admin/sales-channels")["sales_channels"]
        return str(
            channels[0]["id"] if channels else self.post("/admin/sales-channels", name="Web")["sales_channel"]["id"]
        )

    def _shipping_profile(self) -> str:
        return str(self.post("/admin/shipping-profiles", name="P", type="default")["shipping_profile"]["id"])

    def _product(self, sku: str, price: float, profile: str) -> str:
        made = self.post(
            "/admin/products", title=sku.title(), status="published", shipping_profile_id=profile,
            options=[{"title": "O", "values": ["x"]}], sales_channels=[{"id": self.channel}],
            variants=[{
                "title": sku, "sku": sku, "manage_inventory": False, "options": {"O": "x"},
                "prices": [{"currency_code": "eur", "amount": price}],
            }],
        )  # fmt: skip
        return str(made["product"]["variants"][0]["id"])

    # orders

    def order(self, **quantities: int) -> str:
        """A new order, not paid."""
        draft = self.post(
            "/admin/draft-orders", email="ada@example.com", region_id=self.region, sales_channel_id=self.channel,
            shipping_address=ADDRESS, billing_address=ADDRESS,
            items=[{"variant_id": self.variants[sku], "quantity": n} for sku, n in (quantities or {"PHONE": 1}).items()],
            shipping_methods=[{"shipping_option_id": self.shipping, "name": "Standard", "amount": 5.99}],
        )["draft_order"]["id"]  # fmt: skip
        return str(self.post(f"/admin/draft-orders/{draft}/convert-to-order")["order"]["id"])

    def seen(self, order_id: str) -> dict[str, Any]:
        return dict(self.get(f"/admin/orders/{order_id}", fields="*items,*items.detail,*fulfillments")["order"])

    def pay(self, order_id: str) -> None:
        total = self.seen(order_id)["total"]
        made = self.post("/admin/payment-collections", order_id=order_id, amount=total)["payment_collection"]["id"]
        self.post(f"/admin/payment-collections/{made}/mark-as-paid", order_id=order_id)

    def ship(self, order_id: str, *, label: str | None = None) -> None:
        items = [{"id": item["id"], "quantity": item["quantity"]} for item in self.seen(order_id)["items"]]
        self.post(
            f"/admin/orders/{order_id}/fulfillments", items=items, location_id=self.location,
            shipping_option_id=self.shipping, no_notification=True,
        )  # fmt: skip
        fulfillment = self.seen(order_id)["fulfillments"][0]["id"]
        labels = (
            [{"tracking_number": "T1", "tracking_url": "https://t.example.com/1", "label_url": label}] if label else []
        )
        self.post(f"/admin/orders/{order_id}/fulfillments/{fulfillment}/shipments", items=items, labels=labels)

    def cancel(self, order_id: str) -> None:
        self.post(f"/admin/orders/{order_id}/cancel")

    def give_back(self, order_id: str, *, received: bool) -> str:
        """A return of the first item."""
        item = self.seen(order_id)["items"][0]
        made = str(self.post("/admin/returns", order_id=order_id, location_id=self.location)["return"]["id"])
        pieces = [{"id": item["id"], "quantity": item["quantity"]}]
        self.post(f"/admin/returns/{made}/request-items", items=pieces)
        self.post(f"/admin/returns/{made}/request")
        if received:
            self.receive(made, order_id)
        return made

    def receive(self, return_id: str, order_id: str) -> None:
        item = self.seen(order_id)["items"][0]
        self.post(f"/admin/returns/{return_id}/receive")
        self.post(f"/admin/returns/{return_id}/receive-items", items=[{"id": item["id"], "quantity": item["quantity"]}])
        self.post(f"/admin/returns/{return_id}/receive/confirm")

    def claim(self, order_id: str, kind: str) -> str:
        item = self.seen(order_id)["items"][0]
        made = str(self.post("/admin/claims", type=kind, order_id=order_id)["claim"]["id"])
        self.post(
            f"/admin/claims/{made}/claim-items",
            items=[{"id": item["id"], "quantity": 1, "reason": "production_failure"}],
        )
        if kind == "replace":
            self.post(
                f"/admin/claims/{made}/outbound/items", items=[{"variant_id": self.variants["CASE"], "quantity": 1}]
            )
        self.post(f"/admin/claims/{made}/request")
        return made

    def exchange(self, order_id: str) -> str:
        item = self.seen(order_id)["items"][0]
        made = str(self.post("/admin/exchanges", order_id=order_id)["exchange"]["id"])
        self.post(f"/admin/exchanges/{made}/inbound/items", items=[{"id": item["id"], "quantity": 1}])
        self.post(
            f"/admin/exchanges/{made}/outbound/items", items=[{"variant_id": self.variants["CASE"], "quantity": 1}]
        )
        self.post(f"/admin/exchanges/{made}/request")
        return made
