"""Attributes that Dagster's loader lets through, so that our own settings can say what is wrong with them."""

from typing import Any

from pydantic import BaseModel, Field

from orders_sync.components.account import Account
from orders_sync.components.free_attributes import attributes_of
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names


class First(BaseModel):
    name: str = Field(description="What it is called.")
    port: int
    only_here: bool = False


class Second(BaseModel):
    name: str
    port: int = 80
    only_there: str | None = None


def schema(*settings: type[BaseModel]) -> dict[str, Any]:
    return attributes_of(*settings).model_json_schema()


def test_wrong_missing_and_unknown_values_pass_as_they_stand() -> None:
    attributes = {"port": "many", "nonsense": [1]}
    assert attributes_of(First)(**attributes).model_extra == attributes


def test_the_schema_names_the_fields_of_all_settings_with_their_meaning() -> None:
    both = schema(First, Second)
    assert set(both["properties"]) == {"name", "port", "only_here", "only_there"}
    assert both["properties"]["name"]["description"] == "What it is called."
    assert both["additionalProperties"] is False


def test_required_is_what_all_settings_require() -> None:
    assert schema(First)["required"] == ["name", "port"]
    assert schema(First, Second)["required"] == ["name"]


def test_an_accounts_schema_has_every_setting_of_every_marketplace() -> None:
    shown = Account.get_model_cls().model_json_schema()["properties"]
    for name in marketplace_names():
        assert set(find_marketplace(name).settings.model_fields) <= set(shown), name
