"""A Medusa shop that is filled through its own admin API, as a merchant would.

Its prices are gross: they include the German tax of 19 %.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from orders_sync.testing.waiting import limit

ADDRESS = {
    "first_name": "Ada", "last_name": "Lovelace", "address_1": "Ring 1", "city": "Berlin", "country_code": "de",
    "postal_code": "10115", "phone": "+4930",
}  # fmt: skip
PRICES = {"PHONE": 199.90, "CASE": 9.99, "CABLE": 0.1, "CHARGER": 24.95}
GIFT_CARD, DOWNLOAD = "GIFT-50", "PDF"
THREE_FOR_TWO = "3FOR2"
"""The code of the promotion: of three chargers, the buyer pays two."""


class Shop:
    """A shop with all that it needs to sell; its methods bring orders into every state."""

    def __init__(self, url: str, key: str) -> None:
        self.client = httpx.Client(base_url=url, auth=(key, ""), timeout=limit(60), trust_env=False)
        self.channel = self._sales_channel()
        self.storefront = self._storefront(url)
        self.region = self.post(
            "/admin/regions", name="DE", currency_code="eur", countries=["de"], automatic_taxes=True,
            is_tax_inclusive=True, payment_providers=["pp_system_default"],
        )["region"]["id"]  # fmt: skip
        for preference in self.get("/admin/price-preferences", attribute="currency_code", value="eur")[
            "price_preferences"
        ]:
            self.post(f"/admin/price-preferences/{preference['id']}", is_tax_inclusive=True)
        self.post(
            "/admin/tax-regions", country_code="de", provider_id="tp_system",
            default_tax_rate={"name": "Standard", "code": "standard", "rate": 19},
        )  # fmt: skip
        location = self.post(
            "/admin/stock-locations", name="W", address={"address_1": "A", "country_code": "de", "city": "Berlin"}
        )["stock_location"]["id"]
        self.location = location
        self.post(f"/admin/stock-locations/{location}/sales-channels", add=[self.channel])
        providers = [provider["id"] for provider in self.get("/admin/fulfillment-providers")["fulfillment_providers"]]
        self.post(f"/admin/stock-locations/{location}/fulfillment-providers", add=providers)
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
        self.shipping = self._shipping_option("Standard", zone, profile, "manual_manual")
        self.parcels = self._shipping_option("Parcel", zone, profile, "printer_parcels")
        """Its provider prints a label for each fulfilment when it is created."""
        self.profile = profile
        self.variants: dict[str, str] = {}
        for sku, price in PRICES.items():
            self.sell(sku, price)
        self.variants[GIFT_CARD] = self._product(GIFT_CARD, 50, is_giftcard=True)
        self.variants[DOWNLOAD] = self._product(DOWNLOAD, 4.50)
        self._three_for_two(self.variants["CHARGER"])

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

    def _storefront(self, url: str) -> httpx.Client:
        """A client of the API that buyers' browsers use."""
        key = self.post("/admin/api-keys", title="storefront", type="publishable")["api_key"]
        self.post(f"/admin/api-keys/{key['id']}/sales-channels", add=[self.channel])
        headers = {"x-publishable-api-key": str(key["token"])}
        return httpx.Client(base_url=url, headers=headers, timeout=limit(60), trust_env=False)

    def _shipping_profile(self) -> str:
        return str(self.post("/admin/shipping-profiles", name="P", type="default")["shipping_profile"]["id"])

    def _shipping_option(self, name: str, zone: str, profile: str, provider: str) -> str:
        code = name.lower()
        made = self.post(
            "/admin/shipping-options", name=name, service_zone_id=zone, shipping_profile_id=profile,
            provider_id=provider, price_type="flat", type={"label": name, "description": name, "code": code},
            prices=[{"currency_code": "eur", "amount": 5.99}],
            rules=[
                {"attribute": "enabled_in_store", "operator": "eq", "value": "true"},
                {"attribute": "is_return", "operator": "eq", "value": "false"},
            ],
        )  # fmt: skip
        return str(made["shipping_option"]["id"])

    def _three_for_two(self, variant: str) -> None:
        product = self._product_of(variant)
        rule = {"attribute": "items.product.id", "operator": "eq", "values": [product]}
        self.post(
            "/admin/promotions", code=THREE_FOR_TWO, type="buyget", status="active", is_tax_inclusive=True,
            application_method={
                "type": "percentage", "value": 100, "target_type": "items", "allocation": "each", "max_quantity": 1,
                "apply_to_quantity": 1, "buy_rules_min_quantity": 2, "buy_rules": [rule], "target_rules": [rule],
            },
        )  # fmt: skip

    def sell(self, sku: str, price: float) -> None:
        """Offers a product that is shipped."""
        self.variants[sku] = self._product(sku, price, shipping_profile_id=self.profile)

    def discontinue(self, sku: str) -> None:
        """Deletes a product."""
        self._checked(self.client.delete(f"/admin/products/{self._product_of(self.variants.pop(sku))}"))

    def _product_of(self, variant: str) -> str:
        return str(self.get("/admin/product-variants", id=variant)["variants"][0]["product_id"])

    def _product(self, sku: str, price: float, **fields: Any) -> str:
        made = self.post(
            "/admin/products", title=sku.title(), status="published", **fields,
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
        return self.order_of(quantities or {"PHONE": 1})

    def order_of(
        self, quantities: Mapping[str, int], *others: Mapping[str, Any], promotions: tuple[str, ...] = ()
    ) -> str:
        """A new order, not paid. `others`: lines without a variant, with `title`, `unit_price` and `quantity`."""
        draft = self.post(
            "/admin/draft-orders", email="ada@example.com", region_id=self.region, sales_channel_id=self.channel,
            shipping_address=ADDRESS, billing_address=ADDRESS, promo_codes=list(promotions),
            items=[*({"variant_id": self.variants[sku], "quantity": n} for sku, n in quantities.items()), *others],
            shipping_methods=[{"shipping_option_id": self.shipping, "name": "Standard", "amount": 5.99}],
        )["draft_order"]["id"]  # fmt: skip
        return str(self.post(f"/admin/draft-orders/{draft}/convert-to-order")["order"]["id"])

    def buy(self, quantities: Mapping[str, int], *, promotions: tuple[str, ...] = ()) -> str:
        """A new order by a buyer in the storefront, paid (authorised)."""
        cart = self._shopped(
            "/store/carts", region_id=self.region, email="ada@example.com", shipping_address=ADDRESS,
            billing_address=ADDRESS, promo_codes=list(promotions),
            items=[{"variant_id": self.variants[sku], "quantity": n} for sku, n in quantities.items()],
        )["cart"]["id"]  # fmt: skip
        self._shopped(f"/store/carts/{cart}/shipping-methods", option_id=self.shipping)
        collection = self._shopped("/store/payment-collections", cart_id=cart)["payment_collection"]["id"]
        self._shopped(f"/store/payment-collections/{collection}/payment-sessions", provider_id="pp_system_default")
        return str(self._shopped(f"/store/carts/{cart}/complete")["order"]["id"])

    def _shopped(self, path: str, **body: Any) -> dict[str, Any]:
        return self._checked(self.storefront.post(path, json=body))

    def seen(self, order_id: str) -> dict[str, Any]:
        return dict(
            self.get(f"/admin/orders/{order_id}", fields="*items,*items.detail,*fulfillments,*payment_collections")[
                "order"
            ]
        )

    def pay(self, order_id: str) -> None:
        order = self.seen(order_id)
        # An edit has left one for the amount that is due now.
        due = [one["id"] for one in order["payment_collections"] if one["status"] == "not_paid"] or [
            self.post("/admin/payment-collections", order_id=order_id, amount=order["total"])["payment_collection"][
                "id"
            ]
        ]
        self.post(f"/admin/payment-collections/{due[0]}/mark-as-paid", order_id=order_id)

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

    def fulfil(self, order_id: str, quantities: Mapping[str, int]) -> str:
        """A parcel of some pieces, by SKU, with a label and not shipped yet; returns the id of the fulfilment."""
        before = {fulfillment["id"] for fulfillment in self.seen(order_id)["fulfillments"]}
        self.post(
            f"/admin/orders/{order_id}/fulfillments", items=self._pieces(order_id, quantities),
            location_id=self.location, shipping_option_id=self.parcels, no_notification=True,
        )  # fmt: skip
        (made,) = (f["id"] for f in self.seen(order_id)["fulfillments"] if f["id"] not in before)
        return str(made)

    def hand_over(
        self, order_id: str, fulfillment: str, quantities: Mapping[str, int], *, tracking_number: str | None = None
    ) -> None:
        """The carrier takes a parcel. Medusa's own admin writes # for the URLs that belong to a tracking number."""
        label = {"tracking_number": tracking_number, "tracking_url": "#", "label_url": "#"}
        self.post(
            f"/admin/orders/{order_id}/fulfillments/{fulfillment}/shipments",
            items=self._pieces(order_id, quantities), labels=[label] if tracking_number else [],
        )  # fmt: skip

    def cancel_fulfilment(self, order_id: str, fulfillment: str) -> None:
        self.post(f"/admin/orders/{order_id}/fulfillments/{fulfillment}/cancel")

    def _pieces(self, order_id: str, quantities: Mapping[str, int]) -> list[dict[str, Any]]:
        ids = {item["variant_sku"]: item["id"] for item in self.seen(order_id)["items"]}
        return [{"id": ids[sku], "quantity": quantity} for sku, quantity in quantities.items()]

    def edit(self, order_id: str, quantities: Mapping[str, int], *, added: Mapping[str, int] | None = None) -> None:
        """Changes the quantities of items, by SKU (0 removes an item), and adds others."""
        self.post("/admin/order-edits", order_id=order_id)
        for piece in self._pieces(order_id, quantities):
            path = f"/admin/order-edits/{order_id}/items/item/{piece['id']}"
            self.post(path, quantity=piece["quantity"])
        if added:
            items = [{"variant_id": self.variants[sku], "quantity": quantity} for sku, quantity in added.items()]
            self.post(f"/admin/order-edits/{order_id}/items", items=items)
        self.post(f"/admin/order-edits/{order_id}/request")
        self.post(f"/admin/order-edits/{order_id}/confirm")

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
