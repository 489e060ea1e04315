"""The settings of V1: what an error says, and the key that was renamed."""

import logging
from pathlib import Path

import pytest

from orders_sync.config.v1 import (
    CutoverConfigError,
    CutoverError,
    check_cutover_settings,
    load_cutover_settings,
)
from orders_sync.config.yaml_files import ConfigError


def test_the_project_comes_with_valid_settings(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_cutover_settings()
    assert settings.readiness.calls_per_day == 20_000
    assert caplog.messages == []


def test_the_old_name_of_the_api_budget_still_works(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "v1.yaml"
    file.write_text("marketplaces: {back_market: back_market_sandbox}\nreadiness:\n  days: 3\n  calls_a_day: 500\n")
    with caplog.at_level(logging.WARNING, "orders_sync"):
        readiness = load_cutover_settings(file).readiness
    assert (readiness.days, readiness.calls_per_day) == (3, 500)
    assert caplog.messages == [
        f"{file}: readiness.calls_a_day: is now named readiness.calls_per_day; the old name ends with 0.3. Rename it."
    ]


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (
            {"readiness": {"calls_per_day": 0}},
            "v1.yaml: readiness.calls_per_day: Input should be greater than or equal",
        ),
        ({"readiness": {"calls": 1}}, "v1.yaml: readiness.calls: no such setting; allowed are days, agreement"),
        ({"database": "mysql://me:secret@h/x"}, "v1.yaml: database: can't be read; write it like V1_DATABASE_URL."),
        (
            {"tables": {"orders": {"order": "x"}}},
            "v1.yaml: tables.orders.order: no such setting (did you mean order_id?); allowed are table, id, order_id",
        ),
        ({"tables": {"locks": {"zzz": "x"}}}, "v1.yaml: tables.locks.zzz: no such setting; allowed are table, item"),
        *(
            (
                {"run": {"kind": "url", "url": url}},
                "v1.yaml: run.url: must start with http:// or https:// and name a host",
            )
            for url in ("javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "http://", "ftp://host/x")
        ),
        (
            {"run": {"kind": "command", "command": "sh -c 'exit"}},
            "v1.yaml: run.command: No closing quotation; allowed is a program with its arguments, e.g. php artisan {command}",
        ),
        ({"run": {"kind": "command", "command": " "}}, "v1.yaml: run.command: names no program; allowed is a program"),
        ({"run": {"environment": ["A=b"]}}, "v1.yaml: run.environment.0: String should match pattern"),
        ("text", "v1.yaml: must be a mapping of keys to values"),
    ],
)
def test_an_error_names_file_key_and_reason(document: object, line: str) -> None:
    with pytest.raises(CutoverConfigError) as problem:
        check_cutover_settings(document, "v1.yaml")
    assert line in str(problem.value)
    assert "secret" not in str(problem.value)
    assert isinstance(problem.value, ConfigError)
    assert isinstance(problem.value, CutoverError)


def test_unreadable_yaml_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "v1.yaml").write_text("a: [")
    with pytest.raises(CutoverConfigError, match="is not readable YAML"):
        load_cutover_settings(tmp_path / "v1.yaml")


def test_numbers_and_texts_name_the_same_marketplace() -> None:
    settings = check_cutover_settings({"marketplaces": {1: "shop", "2": "shop", "ebay": "other"}}, "v1.yaml")
    assert settings.marketplaces == {"1": "shop", "2": "shop", "ebay": "other"}
    assert settings.marketplaces_of("shop") == ["1", "2"]
    with pytest.raises(CutoverConfigError, match=r"v1.yaml: marketplaces: 1 is there twice, as a number and as a text"):
        check_cutover_settings({"marketplaces": {1: "shop", "1": "other"}}, "v1.yaml")


@pytest.mark.parametrize(
    ("tables", "line"),
    [
        (
            {"orders": {"table": "orders", "query": "SELECT 1"}},
            "v1.yaml: tables.orders: needs either table or query, and not both",
        ),
        ({"items": {"table": None}}, "v1.yaml: tables.items: needs either table or query, and not both"),
        ({"locks": {"query": " ; "}}, "v1.yaml: tables.locks: needs either table or query, and not both"),
        (
            {"orders": {"by_marketplace": {"4": {"order": "x"}}}},
            "v1.yaml: tables.orders.by_marketplace.4.order: no such setting (did you mean order_id?)",
        ),
        (
            {"orders": {"by_marketplace": {"back_markt": {"total": "x"}}}},
            "tables.orders.by_marketplace.back_markt: marketplaces has no back_markt (did you mean back_market?)",
        ),
        (
            {"items": {"by_marketplace": {"back_market": {"sku": None}}}},
            "v1.yaml: tables.items.by_marketplace.back_market: sku can't be null; name the column, or leave the key out",
        ),
        ({"locks": {"states": {"held": "kept"}}}, "v1.yaml: tables.locks.states.held: Input should be 'locked'"),
    ],
)
def test_a_wrong_mapping_names_its_key(tables: object, line: str) -> None:
    with pytest.raises(CutoverConfigError) as problem:
        check_cutover_settings({"marketplaces": {"back_market": "shop"}, "tables": tables}, "v1.yaml")
    assert line in str(problem.value)


def test_a_marketplace_overrides_what_it_names_and_null_means_that_it_has_none() -> None:
    settings = check_cutover_settings(
        {
            "marketplaces": {1: "shop", 4: "other"},
            "order_statuses": {1: ["pending"], 2: ["accepted"]},
            "tables": {"orders": {"by_marketplace": {4: {"total": None, "statuses": {2: ["shipped"]}}}}},
        },
        "v1.yaml",
    )
    orders = settings.tables.orders
    assert (orders.of_marketplace("1").total, orders.of_marketplace("4").total) == ("total", None)
    assert orders.of_marketplace("4").order_id == "marketplace_order_id"
    assert settings.order_statuses_of("1") == {1: ["pending"], 2: ["accepted"]}
    assert settings.order_statuses_of("4") == {1: ["pending"], 2: ["shipped"]}


def test_a_preset_is_named_right_and_gives_way_to_what_is_beside_it() -> None:
    with pytest.raises(CutoverConfigError) as problem:
        check_cutover_settings({"preset": "laravel_market"}, "v1.yaml")
    assert str(problem.value) == (
        "v1.yaml: preset: there is no preset 'laravel_market' (did you mean laravel_marketplaces?); allowed are "
        "laravel_marketplaces"
    )
    alone = check_cutover_settings({"preset": "laravel_marketplaces"}, "v1.yaml")
    assert alone.overridden == ()
    assert alone.tables.orders.by_marketplace["4"].order_id == "reference"
    document = {
        "preset": "laravel_marketplaces", "order_statuses": {"3": ["shipped"], 9: ["returned"]},
        "tables": {"orders": {"query": "SELECT 1"}, "locks": None},
    }  # fmt: skip
    beside = check_cutover_settings(document, "v1.yaml")
    assert (beside.tables.orders.table, beside.tables.orders.query) == (None, "SELECT 1")
    assert beside.tables.orders.where == alone.tables.orders.where
    assert beside.tables.locks is None
    assert beside.order_statuses == {**alone.order_statuses, 3: ["shipped"], 9: ["returned"]}
    assert beside.overridden == ("order_statuses.3", "tables.locks")
