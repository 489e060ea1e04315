"""docs/reference/settings.md: every setting of every YAML file, from the pydantic models that check them."""

from datetime import timedelta
from typing import Any, cast

from pydantic import BaseModel

from docs.generate.markdown import code, page, sentence, table
from orders_sync.config.account import AccountSettings
from orders_sync.config.alerts import AlertSettings, Channel
from orders_sync.config.environment import ENVIRONMENT_VARIABLES
from orders_sync.config.schedules import ScheduleSettings
from orders_sync.config.subscriptions import DagsterConsumer, SqlConsumer, SubscriptionSettings, Webhook
from orders_sync.config.v1 import CutoverSettings
from orders_sync.marketplaces.kit.registry import find_marketplace, marketplace_names

HEAD = ("setting", "type", "default", "meaning")

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
REQUIRED = object()
"""The default of a setting that has none."""


def settings_page() -> str:
    """The whole page."""
    parts = [
        "A file with a wrong value is rejected with its name, the key, the problem and the allowed values.",
        "## Accounts",
        "The `attributes` of `orders_sync/defs/accounts/NAME/defs.yaml`. See [Accounts](../accounts.md).",
        "### All marketplaces",
        settings_table(AccountSettings),
    ]
    for name in marketplace_names():
        marketplace = find_marketplace(name)
        own = settings_table(marketplace.settings, without=AccountSettings)
        parts += [f"### {marketplace.title}", f"`marketplace: {name}`, and in addition to the settings above:", own]
    parts += [
        "## Schedules",
        "The `attributes` of `orders_sync/defs/sync/defs.yaml`. See [Operation](../operation.md#schedules).",
        settings_table(ScheduleSettings),
        "## Alerts",
        "The `attributes` of `orders_sync/defs/alerts/defs.yaml`. See [Alerts](../alerts.md).",
        settings_table(AlertSettings),
        "The keys of each channel:",
        settings_table(Channel),
        "## Subscriptions",
        "The `attributes` of `orders_sync/defs/subscriptions/NAME/defs.yaml`. See [Order events](../events.md).",
        settings_table(SubscriptionSettings),
        "The keys of `dagster`:",
        settings_table(DagsterConsumer),
        "The keys of `webhook`:",
        settings_table(Webhook),
        "The keys of `sql`:",
        settings_table(SqlConsumer),
        "## V1",
        "The keys of `orders_sync/defs/cutover/v1.yaml`. See [From V1 to V2](../cutover.md).",
        settings_table(CutoverSettings),
        "## Environment variables",
        table(("variable", "meaning"), ((code(name), meaning) for name, meaning in ENVIRONMENT_VARIABLES.items())),
        "In addition, each account names the variables of its credentials, and V1's file that of V1's database.",
    ]
    return page("Settings", *parts)


def settings_table(model: type[BaseModel], without: type[BaseModel] | None = None) -> str:
    """The fields of a model, nested ones with a dot; without those that `without` has with the same meaning."""
    inherited = without.model_json_schema()["properties"] if without is not None else {}
    schema = model.model_json_schema()
    rows = [
        row
        for name, field in schema["properties"].items()
        if field != inherited.get(name)
        for row in _rows(name, field, _default(model, name), schema.get("$defs", {}))
    ]
    return table(HEAD, rows)


def _default(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    return REQUIRED if field.is_required() else field.get_default(call_default_factory=True)


def _rows(name: str, field: dict[str, Any], default: Any, shared: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    about = sentence(field.get("description", ""))
    if not isinstance(default, BaseModel):
        shown = "required" if default is REQUIRED else code(_as_yaml(default))
        return [(code(name), _type(field, shared), shown, about)]
    reference = next(choice["$ref"] for choice in (field, *field.get("anyOf", ())) if "$ref" in choice)
    nested = shared[reference.rsplit("/", 1)[-1]]
    about = about or sentence(nested.get("description", ""))
    inner = [
        row
        for key, part in nested["properties"].items()
        for row in _rows(f"{name}.{key}", part, getattr(default, key), shared)
    ]
    return [(code(name), "mapping" + (" or null" if "anyOf" in field else ""), "", about), *inner]


def _type(field: dict[str, Any], shared: dict[str, Any]) -> str:
    """What is allowed, in words: type, choices, bounds and pattern."""
    if field.get("$ref") == "#/$defs/Status":
        return "[statuses](states.md#our-statuses)"
    if "$ref" in field:
        return _type(shared[field["$ref"].rsplit("/", 1)[-1]], shared)
    if "anyOf" in field:
        return " or ".join(_type(choice, shared) for choice in field["anyOf"])
    if "enum" in field:
        return "one of " + ", ".join(code(choice) for choice in field["enum"])
    if "const" in field:
        return code("off" if field["const"] is False else field["const"])
    if field.get("type") == "array":
        return "list of " + _type(field["items"], shared)
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return "mapping to " + _type(field["additionalProperties"], shared)
    if field.get("type") == "object" and "properties" in field:
        return "mapping with " + ", ".join(map(code, field["properties"]))
    words = {"string": "text", "boolean": "true or false", "integer": "whole number", "number": "number"}
    name = str(field.get("type", "any"))
    kind = "date" if field.get("format") == "date" else words.get(name, name)
    if kind == "text" and "pattern" in field:
        kind = f"text that matches {code(field['pattern'])}"
    bounds = [
        f"{sign} {field[key]}"
        for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if key in field
    ]
    return kind + (f", {' and '.join(bounds)}" if bounds else "")


def _as_yaml(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and len(cast(tuple[Any, ...], value)) == 1:  # a single value is written as it is
        return _as_yaml(value[0])
    if isinstance(value, list):
        return f"[{', '.join(_as_yaml(part) for part in cast(list[Any], value))}]"
    return str(value)


def _duration(value: timedelta) -> str:
    """As a file writes it: in the largest unit of which it is a whole number."""
    unit, length = next(each for each in _UNITS.items() if not value % each[1])
    return f"{value // length}{unit}"
