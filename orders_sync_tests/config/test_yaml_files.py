"""The one reader of settings files: what an error says, and keys that were renamed."""

import logging
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from orders_sync.config.yaml_files import ConfigError, read_component, read_yaml, validate


class ShopConfigError(ConfigError):
    pass


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    calls_per_day: int = Field(default=10, ge=1, description="The budget.")
    share: float = 1.0


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="The shop's name.")
    limits: Inner | None = Field(default_factory=Inner, description="The limits.")
    names: dict[int, list[int]] = Field(default_factory=dict, description="The numbers.")

    @model_validator(mode="after")
    def _is_open(self) -> "Outer":
        if self.name == "closed":
            raise ValueError("name: the shop is closed")
        return self


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (None, ["shop.yaml: name: is missing. The shop's name."]),
        ([1], ["shop.yaml: must be a mapping of keys to values."]),
        (
            {"name": "a", "nmae": 1},
            ["shop.yaml: nmae: no such setting (did you mean name?); allowed are name, limits, names"],
        ),
        (
            {"name": "a", "limits": {"calls": 1}},
            ["shop.yaml: limits.calls: no such setting; allowed are calls_per_day, share"],
        ),
        ({"name": "a", "limits": 3}, ["shop.yaml: limits: must be a mapping of keys to values. The limits."]),
        (
            {"name": "a", "limits": {"calls_per_day": 0}},
            ["shop.yaml: limits.calls_per_day: Input should be greater than or equal to 1. The budget."],
        ),
        (
            {"name": "a", "names": {1: [2, "x"]}},
            [
                "shop.yaml: names.1.1: Input should be a valid integer, unable to parse string as an integer. "
                "The numbers."
            ],
        ),
        ({"name": "closed"}, ["shop.yaml: name: the shop is closed."]),
        (
            {"limits": {"share": "much"}},
            [
                "shop.yaml: name: is missing. The shop's name.",
                "shop.yaml: limits.share: Input should be a valid number, unable to parse string as a number.",
            ],
        ),
    ],
)
def test_each_problem_is_a_line_with_file_key_and_reason(settings: object, lines: list[str]) -> None:
    with pytest.raises(ShopConfigError) as problem:
        validate(settings, Outer, "shop.yaml", ShopConfigError)
    assert str(problem.value).splitlines() == lines


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"token: 'secret-abc\n", "is not readable YAML: line 2, column 1: found unexpected end of stream"),
        (b"a: [secret-abc", "is not readable YAML: line 1, column 15: expected ',' or ']'"),
        (b"a: \xff secret-abc", "is not readable YAML: UnicodeDecodeError"),
    ],
)
def test_unreadable_yaml_is_reported_with_its_place_and_never_quoted(tmp_path: Path, content: bytes, line: str) -> None:
    (tmp_path / "shop.yaml").write_bytes(content)
    with pytest.raises(ShopConfigError) as problem:
        read_yaml(tmp_path / "shop.yaml", ShopConfigError)
    assert f"{tmp_path / 'shop.yaml'}: {line}" in str(problem.value)
    assert "secret" not in str(problem.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ShopConfigError, match=r"shop\.yaml: can't be read: No such file or directory"):
        read_yaml(tmp_path / "shop.yaml", ShopConfigError)


@pytest.mark.parametrize("text", ["type: shops.Other\n", "attributes: {}\n", "- 1\n"])
def test_a_file_of_another_component_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "defs.yaml").write_text(text)
    with pytest.raises(ShopConfigError, match=r"defs\.yaml: type: must be shops\.Shop\.$"):
        read_component(tmp_path / "defs.yaml", "shops.Shop", ShopConfigError)


@pytest.mark.parametrize("text", ["", "# to do\n", "---\n"])
def test_an_empty_file_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "defs.yaml").write_text(text)
    with pytest.raises(ShopConfigError, match=r"defs\.yaml: is empty; it must begin with `type: shops\.Shop`"):
        read_component(tmp_path / "defs.yaml", "shops.Shop", ShopConfigError)


def test_the_attributes_of_a_component_are_read(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text("type: shops.Shop\nattributes:\n  name: a\n")
    assert read_component(tmp_path / "defs.yaml", "shops.Shop") == {"name": "a"}


RENAMED = {"limits.calls_a_day": "limits.calls_per_day"}


def test_an_old_key_counts_as_the_present_one_and_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    written = {"name": "a", "limits": {"calls_a_day": 7}}
    with caplog.at_level(logging.WARNING, "orders_sync"):
        for _ in range(2):
            settings = validate(written, Outer, "old-key.yaml", renamed=RENAMED)
            assert settings.limits == Inner(calls_per_day=7)
    assert written == {"name": "a", "limits": {"calls_a_day": 7}}
    assert caplog.messages == [
        "old-key.yaml: limits.calls_a_day: is now named limits.calls_per_day; the old name ends with 0.3. Rename it."
    ]


def test_an_old_key_is_checked_as_the_present_one() -> None:
    with pytest.raises(ConfigError, match=r"limits\.calls_per_day: Input should be greater than"):
        validate({"name": "a", "limits": {"calls_a_day": 0}}, Outer, "shop.yaml", renamed=RENAMED)


def test_the_old_and_the_present_key_together_are_an_error() -> None:
    both = {"name": "a", "limits": {"calls_a_day": 7, "calls_per_day": 8}}
    with pytest.raises(ConfigError, match=r"limits\.calls_a_day: is the old name of limits\.calls_per_day, which is"):
        validate(both, Outer, "shop.yaml", renamed=RENAMED)


@pytest.mark.parametrize("settings", [{"name": "a"}, {"name": "a", "limits": None}, {"name": "a", "limits": {}}])
def test_settings_without_an_old_key_are_taken_as_they_are(settings: object, caplog: pytest.LogCaptureFixture) -> None:
    assert validate(settings, Outer, "shop.yaml", renamed=RENAMED).name == "a"
    assert caplog.messages == []
