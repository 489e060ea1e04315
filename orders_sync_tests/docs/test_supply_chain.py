"""What comes from others: licences that are allowed, actions pinned by hash, one module for the embedded server."""

import re

import pytest
import yaml

from docs.generate.licences import ALLOWED, alternatives, installed_licence, licences, locked
from orders_sync.config.environment import PROJECT_ROOT

WORKFLOWS = sorted((PROJECT_ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"^\s*(?:- )?uses: [\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$")


def test_every_locked_package_has_a_licence_on_the_list() -> None:
    names = {*locked("requirements.lock"), *locked("requirements-dev.lock")}
    assert set(licences()) == names, "run `make licences`, and commit the result"


def test_every_licence_is_allowed() -> None:
    refused = {
        name: licence
        for name, licence in licences().items()
        if not any(each <= ALLOWED for each in alternatives(licence))
    }
    assert refused == {}, "a licence of another kind needs a decision: docs/generate/licences.py, ALLOWED"


def test_the_list_agrees_with_what_the_installed_packages_say() -> None:
    said = {name: installed_licence(name) for name in licences()}
    assert len([each for each in said.values() if each]) > 100
    assert {name: each for name, each in said.items() if each} == {
        name: licences()[name] for name, each in said.items() if each
    }


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("MIT AND BSD-3-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("(MIT OR GPL-2.0-only)", True),
        ("AGPL-3.0-only", False),
        ("MIT AND GPL-3.0-only", False),
        ("LicenseRef-Proprietary", False),
    ],
)
def test_an_expression_is_allowed_if_one_of_its_alternatives_is(expression: str, expected: bool) -> None:
    assert any(each <= ALLOWED for each in alternatives(expression)) is expected


def test_every_action_is_pinned_by_its_commit() -> None:
    """A tag can be moved to other code."""
    lines = [line for file in WORKFLOWS for line in file.read_text().splitlines() if "uses:" in line]
    assert len(lines) > 10
    assert [line for line in lines if not PINNED.match(line)] == []


def test_ci_audits_and_lists_what_it_builds() -> None:
    runs = [
        step.get("run")
        for job in yaml.safe_load(WORKFLOWS[0].read_text())["jobs"].values()
        for step in job["steps"]
    ]  # fmt: skip
    assert {"make lint", "make audit", "make sbom"} <= set(runs)


def test_only_one_module_names_the_wheel_of_the_embedded_server() -> None:
    """Another server, or none, is a change of that module alone; import-linter proves the imports."""
    naming = [
        str(path.relative_to(PROJECT_ROOT))
        for folder in ("orders_sync", "bench", "docs/generate")
        for path in (PROJECT_ROOT / folder).rglob("*.py")
        if "pixeltable" in path.read_text()
    ]
    assert naming == ["orders_sync/database/embedded_server.py"]
