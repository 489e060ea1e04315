"""One file's mistake never stops another: Dagster loads all the rest, and shows what it could not load with the reason."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orders_sync.testing.databases import a_database
from orders_sync.testing.deployment import (
    SANDBOX_ACCOUNTS,
    accounts_of,
    copy_project,
    edit_yaml,
    environment,
    schedules_of,
    v1_file_of,
    write_account,
)

LOAD = """
import json
import dagster as dg
from orders_sync.definitions import defs
loaded = defs()
dg.Definitions.validate_loadable(loaded)
repository = loaded.get_repository_def()
graph = repository.asset_graph
print(json.dumps({
    "assets": {key.to_user_string(): " ".join((graph.get(key).description or "").split()) for key in graph.get_all_asset_keys()},
    "schedules": {each.name: each.cron_schedule for each in repository.schedule_defs},
    "sensors": sorted(each.name for each in repository.sensor_defs),
}))
"""
SETTINGS = "marketplace: back_market\n  token: SHOP_TOKEN\n"
ACCOUNT = f"type: orders_sync.components.account.Account\n\nattributes:\n  {SETTINGS}"
#: The mistakes in one account's file, by the name of the account: what is in the file, and what the reason says.
MISTAKES = {
    "empty": ("", "is empty; it must begin with"),
    "only_a_comment": ("# to do\n", "is empty; it must begin with"),
    "wrong_indentation": (ACCOUNT.replace("  token", "   token"), "is not readable YAML: line 5, column 9"),
    "with_a_tab": (ACCOUNT.replace("  token", "\ttoken"), "is not readable YAML: line 5, column 1"),
    "typo_in_type": (ACCOUNT.replace("Account\n", "Acount\n"), "type: must be orders_sync.components.account.Account"),
    "no_type": (ACCOUNT.split("\n", 1)[1], "type: must be orders_sync.components.account.Account"),
    "typo_in_attributes": (ACCOUNT.replace("attributes", "attribute"), "attribute: is not allowed in a file of "
                           "settings (did you mean attributes?)"),
    "a_list": ("- type: x\n", "type: must be orders_sync.components.account.Account"),
    "a_text": ("back_market", "type: must be orders_sync.components.account.Account"),
    "a_key_twice": (f"{ACCOUNT}  token: OTHER\n", "is not readable YAML: line 6, column 3: a key is there twice"),
    "two_documents": (f"{ACCOUNT}---\n{ACCOUNT}", "is not readable YAML"),
    "bytes_that_are_no_text": ("\0", "is not readable YAML"),
    "no_attributes": (ACCOUNT.split("\nattributes")[0], "marketplace: is missing"),
    "typo_in_a_setting": (f"{ACCOUNT}  tokn: X\n", "tokn: no such setting (did you mean token?); allowed are"),
    "typo_in_the_marketplace": (ACCOUNT.replace("back_market", "backmarket"), "there is no marketplace 'backmarket' "
                                "(did you mean back_market?)"),
    "wrong_owner": (f"{ACCOUNT}  owners: [orders]\n", "'orders' is no owner; write it like team:orders"),
    "the_token_itself": (ACCOUNT.replace("SHOP_TOKEN", "b2s-4f=="), "token: can't be read; write it like SHOP_TOKEN"),
    "no_such_day": (f"{ACCOUNT}  x: 2024-13-45\n", "is not readable YAML: ValueError"),
    "too_many_digits": (f"{ACCOUNT}  x: {'9' * 5000}\n", "is not readable YAML: ValueError"),
    "no_hex_number": (f"{ACCOUNT}  x: 0x_\n", "is not readable YAML: ValueError"),
    "too_deep": (f"{ACCOUNT}  x: {'[' * 3000}\n", "is not readable YAML: RecursionError"),
    "in_itself": ("type: x\nattributes: &a {x: *a}\n", "an alias (*) is not allowed in settings"),
    "an_alias_named_as_a_secret": (ACCOUNT.replace("SHOP_TOKEN", "*secret99"), "an alias (*) is not allowed"),
    "a_tag_named_as_a_secret": (ACCOUNT.replace("SHOP_TOKEN", "!secret99"), "a constructor for the tag …"),
    "another_component": (ACCOUNT.replace("account.Account", "sync_schedules.SyncSchedules"), "type: must be"),
    "a_script": ("type: dagster.PythonScriptComponent\nattributes: {execution: {path: x.py}, assets: [{key: leaked, "
                 "description: '{{ env.ORDERS_DATABASE_URL }}'}]}\n", "type: must be"),
    "too_large": (f"{ACCOUNT}{'#' * 300_000}\n", "can't be read: it is larger than 256 kB"),
    "user_in_the_url": (f"{ACCOUNT}  base_url: https://me:secret99@example.com\n", "must name no user and no password"),
    "post_processing": (f"{ACCOUNT}post_processing: {{}}\n", "post_processing: is not allowed in a file of settings"),
}  # fmt: skip
#: The mistakes in the names and places of files: what is written, and where, and what the reason says.
PLACES = {
    "my-shop/defs.yaml": ("accounts_my_shop", "Rename it, e.g. to my_shop."),
    "My Shop/defs.yaml": ("accounts_My_Shop", "Rename it, e.g. to my_shop."),
    "2nd/defs.yaml": ("accounts_2nd", "with a letter first. Rename it."),
    "wrong_ending/defs.yml": (
        "wrong_ending/new_orders",
        "defs.yml: is not read: an account's settings are in defs.yaml. Rename it.",
    ),
    "no_file/notes.txt": ("no_file/new_orders", "Write one, or delete the folder."),
    "in_a_folder/inner/defs.yaml": ("in_a_folder/new_orders", "Write one, or delete the folder."),
    "\udcff\udcfe/defs.yaml": ("accounts_", "Rename it."),
    "two\nlines/defs.yaml": ("accounts_two_Jlines", "two^Jlines: the name of an account's folder"),
    "defs.yaml": ("accounts_defs_yaml", "an account is a folder with a defs.yaml. Move it to"),
    "shop.yaml": ("accounts_shop_yaml", "an account is a folder with a defs.yaml. Move it to"),
    "a_folder/defs.yaml/": ("a_folder/new_orders", "defs.yaml: can't be read: it is no file"),
    "a_link/defs.yaml -> gone.yaml": ("a_link/new_orders", "it is a link to gone.yaml, which does not exist"),
}

Load = Callable[[Path], Any]


def loaded(project: Path, database_url: str, state: Path) -> Any:
    shell = environment(PYTHONPATH=str(project), ORDERS_DATABASE_URL=database_url, ORDERS_SYNC_STATE=str(state))
    done = subprocess.run([sys.executable, "-P", "-c", LOAD], env=shell, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def load(database_url: str, tmp_path: Path) -> Load:
    """What Dagster has of a project, in a process of its own."""
    return lambda project: loaded(project, database_url, tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, template: str) -> Any:
    """What Dagster has of the project as it is."""
    folder = tmp_path_factory.mktemp("whole")
    with a_database(template, f"t_{uuid.uuid4().hex[:16]}", template="template_orders") as url:
        return loaded(copy_project(folder / "project"), url, folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


def test_the_mistakes_of_some_accounts_stop_no_other_account(project: Path, load: Load, whole: Any) -> None:
    for name, (text, _) in MISTAKES.items():
        write_account(accounts_of(project), name, {}).write_text(text)
    for name in PLACES:
        path, _, target = name.partition(" -> ")
        place = accounts_of(project) / path
        place.parent.mkdir(exist_ok=True, parents=True)
        if target:
            place.symlink_to(target)
        elif path.endswith("/"):
            place.mkdir()
        else:
            place.write_text(ACCOUNT)
    (accounts_of(project) / "loop").symlink_to(".")
    loaded = load(project)
    assert loaded["schedules"] == whole["schedules"]
    assert loaded["sensors"] == whole["sensors"]
    assert {name: loaded["assets"][name] for name in whole["assets"]} == whole["assets"]
    assert "leaked" not in loaded["assets"]
    assert not any("secret99" in str(text) for text in loaded["assets"].values())
    more = {name: text for name, text in loaded["assets"].items() if name not in whole["assets"]}
    for name, (_, reason) in MISTAKES.items():
        lanes = {asset: text for asset, text in more.items() if asset.startswith(f"{name}/")}
        shown = {text for asset, text in lanes.items() if not asset.endswith("_passes")}
        assert len(shown) == 4
        assert all(reason in text for text in shown), (name, reason, shown)
    for name, reason in PLACES.values():
        assert any(name in asset and reason in text for asset, text in more.items()), (name, reason, more)


def test_the_last_valid_schedules_stay_in_force(project: Path, load: Load) -> None:
    schedules = schedules_of(project)
    edit_yaml(schedules, lambda document: document.update(attributes={"schedules": {"new": "7 * * * *"}}))
    whole = load(project)
    assert whole["schedules"]["sync_new_orders_schedule"] == "7 * * * *"
    valid = schedules.read_text()
    for wrong in (valid.replace("7 * * * *", "often"), valid.replace("type:", "tpye:"), "\t", ""):
        schedules.write_text(wrong)
        loaded = load(project)
        assert loaded["schedules"] == whole["schedules"]
        (reason,) = (text for name, text in loaded["assets"].items() if name not in whole["assets"])
        assert str(schedules) in reason
        assert "the last valid schedules stay in force" in reason
    schedules.unlink()
    assert load(project)["schedules"] == whole["schedules"]


def test_without_schedules_that_were_once_valid_those_of_the_brief_are_in_force(project: Path, load: Load) -> None:
    schedules_of(project).write_text("\t")
    loaded = load(project)
    assert loaded["schedules"]["sync_new_orders_schedule"] == "0 6-22/2 * * *"
    assert "the default schedules are in force" in loaded["assets"]["unusable_settings/sync_defs_yaml"]


def test_a_mistake_about_v1_stops_no_sync(project: Path, load: Load, whole: Any) -> None:
    edit_yaml(v1_file_of(project), lambda document: document.update(timezone="Berlin"))
    loaded = load(project)
    of_syncs = {
        name: text
        for name, text in whole["assets"].items()
        if name.split("/")[0] in SANDBOX_ACCOUNTS and not name.endswith("v1_v2_comparison")
    }
    assert of_syncs.items() <= loaded["assets"].items()
    assert "'Berlin' is no time zone" in loaded["assets"]["unusable_settings/cutover_schedules_py"]
    assert {name for name in whole["schedules"] if name.startswith("sync_")} <= loaded["schedules"].keys()


def test_code_of_the_users_own_that_fails_stops_nothing_else(project: Path, load: Load, whole: Any) -> None:
    defs = project / "orders_sync" / "defs"
    (defs / "mine.py").write_text("import dagster as dg\n@dg.asset\ndef mine() -> None: ...\n")
    (defs / "broken.py").write_text("raise ValueError('not today')\n")
    (defs / "again").symlink_to(".")
    loaded = load(project)
    assert whole["assets"].items() <= loaded["assets"].items()
    assert "mine" in loaded["assets"]
    assert "ValueError: not today" in loaded["assets"]["unusable_settings/broken_py"]


def test_code_of_the_users_own_that_ends_the_process_or_does_not_fit_is_left_out(
    project: Path, load: Load, whole: Any
) -> None:
    """Each of these would take the whole code location down: Dagster sees a clash only in all definitions together."""
    asset = "import dagster as dg\n@dg.asset(key={key})\ndef mine() -> None: ...\n"
    modules = {
        "ends": ("import sys\nsys.exit(5)\n", "SystemExit: 5"),
        "skips": ("import pytest\npytest.skip('not here', allow_module_level=True)\n", "Skipped: not here"),
        "odd_text": ("class E(Exception):\n    def __str__(self): return 404\nraise E\n", "E"),
        "takes_ours": (asset.format(key=["back_market_sandbox", "new_orders"]), "Duplicate asset key"),
        "takes_a_job": ("import dagster as dg\n@dg.job\ndef pause_account(): ...\n", "pause_account"),
        "twice_1": (asset.format(key="'twice'"), ""),
        "twice_2": (asset.format(key="'twice'"), "Duplicate asset key"),
        "a_job_of_later": ("import dagster as dg\njob = dg.define_asset_job('later', 'z_later')\n", ""),
        "z_later": (asset.format(key="'z_later'"), ""),
        "of_nothing": ("import dagster as dg\njob = dg.define_asset_job('nothing', 'not_there')\n", "not_there"),
        "made": (
            "import dagster as dg\n@dg.definitions\ndef defs():\n    return dg.Definitions(assets=[dg.AssetSpec('by_function')])\n",
            "",
        ),
        "given": ("import dagster as dg\ndefs = dg.Definitions(assets=[dg.AssetSpec('given')])\n", ""),
        "takes_a_resource": (
            "import dagster as dg\ndefs = dg.Definitions(resources={'orders_database': 1})\n",
            "orders_database",
        ),
        "executes": (
            "import dagster as dg\ndefs = dg.Definitions(assets=[dg.AssetSpec('executes')], "
            "executor=dg.multiprocess_executor)\n",
            "",
        ),
        "calls": ("import dagster as dg\n@dg.definitions\ndef defs(): raise SystemExit(3)\n", "SystemExit: 3"),
    }
    for name, (text, _) in modules.items():
        (project / "orders_sync" / "defs" / f"{name}.py").write_text(text)
    (project / "orders_sync" / "defs" / "folder").mkdir()
    (project / "orders_sync" / "defs" / "folder" / "made.py").write_text(
        "import dagster as dg\n@dg.asset\ndef made() -> None: ...\n@dg.definitions\ndef defs():\n"
        "    return dg.Definitions(assets=[made])\n"
    )
    loaded = load(project)
    assert whole["assets"].items() <= loaded["assets"].items()
    assert {"twice", "z_later", "made", "by_function", "given", "executes"} <= loaded["assets"].keys()
    shown = {name: loaded["assets"].get(f"unusable_settings/{name}_py", "") for name, (_, reason) in modules.items()}
    for name, (_, reason) in modules.items():
        assert (reason in shown[name]) if reason else not shown[name], (name, shown[name])
