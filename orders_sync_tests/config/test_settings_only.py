"""A file of settings reads no environment variable but those that it names, also as Dagster loads it."""

import uuid
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.core.load_defs import build_component_defs

from orders_sync.config.account import AccountConfigError
from orders_sync.config.account_files import COMPONENT_TYPE, read_attributes
from orders_sync.config.schedules import ScheduleConfigError, check_schedules
from orders_sync.marketplaces.kit.accounts import account_from

SETTINGS = {"marketplace": "back_market", "token": "SHOP_TOKEN"}
POST_PROCESSING = {"assets": [{"target": "*", "attributes": {"description": "{{ env.OTHER_TOKEN }}"}}]}


@pytest.fixture(autouse=True)
def _other_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER_TOKEN", "the secret of another account")


@pytest.fixture
def descriptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], list[str]]:
    """Gives the descriptions of the assets that Dagster makes of an account's file."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(document: object) -> list[str]:
        defs = tmp_path / f"project_{uuid.uuid4().hex}" / "defs"
        (defs / "shop").mkdir(parents=True)
        for package in (defs.parent, defs):
            (package / "__init__.py").touch()
        (defs / "shop" / "defs.yaml").write_text(yaml.safe_dump(document))
        with pytest.deprecated_call():  # Dagster has no other function that loads a folder outside a project
            loaded = build_component_defs(defs)
        assets = [each for each in loaded.assets or [] if isinstance(each, dg.AssetsDefinition)]
        return [spec.description or "" for each in assets for spec in each.specs]

    return load


def test_a_template_is_not_filled_in_but_refused() -> None:
    for key, value in (("token", "{{ env.OTHER_TOKEN }}"), ("base_url", "https://x/{{ env.OTHER_TOKEN }}")):
        with pytest.raises(AccountConfigError, match=rf"f\.yaml: {key}: has a template in double braces") as problem:
            account_from("shop", {**SETTINGS, key: value}, "f.yaml")
        assert "secret" not in str(problem.value)
    with pytest.raises(AccountConfigError, match=r"owners\.0: has a template"):
        account_from("shop", {**SETTINGS, "owners": ["team:{{ env.OTHER_TOKEN }}"]}, "f.yaml")
    with pytest.raises(ScheduleConfigError, match="timezone: has a template"):
        check_schedules({"timezone": "{{ env.OTHER_TOKEN }}"}, "f.yaml")


@pytest.mark.parametrize(
    ("key", "value"), [("post_processing", POST_PROCESSING), ("template_vars_module", ".template_vars")]
)
def test_a_file_has_settings_only(tmp_path: Path, key: str, value: object) -> None:
    (tmp_path / "shop").mkdir()
    file = tmp_path / "shop" / "defs.yaml"
    file.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": SETTINGS, key: value}))
    with pytest.raises(AccountConfigError, match=rf"defs\.yaml: {key}: is not allowed in a file of settings"):
        read_attributes(tmp_path / "shop")


def test_dagster_shows_no_variable_that_a_file_slips_in(descriptions: Callable[[object], list[str]]) -> None:
    """Dagster itself fills such a template in, so the account has no assets that could show it."""
    plain = {"type": COMPONENT_TYPE, "attributes": SETTINGS}
    assert len(descriptions(plain)) == 4
    assert descriptions({**plain, "post_processing": POST_PROCESSING}) == []
    in_a_setting = descriptions({**plain, "attributes": {**SETTINGS, "base_url": "{{ env.OTHER_TOKEN }}"}})
    assert len(in_a_setting) == 4
    assert not any("the secret" in text for text in in_a_setting)
