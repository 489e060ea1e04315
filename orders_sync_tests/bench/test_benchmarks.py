"""The benchmarks run. What they measure depends on the machine, so no test asserts it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.pages import PATHS
from bench.serving import bench_server
from orders_sync.config.environment import PROJECT_ROOT
from orders_sync.testing.waiting import limit


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT_ROOT, env={**os.environ, **variables},
        capture_output=True, text=True, timeout=limit(120), check=False,
    )  # fmt: skip


@pytest.mark.long
def test_two_checkouts_are_measured_side_by_side() -> None:
    done = run("bench.passes", "--orders", "300", "--runs", "1", "--checkout", str(PROJECT_ROOT), "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert list(document["scenes"]) == ["first load", "unchanged", "2 % changed"]
    for scene in document["scenes"].values():
        assert list(scene) == ["this", "other", "this / other"]
        assert scene["this"]["rate"] > 0
        assert 20 < scene["other"]["peak_mb"] < 1_000


def test_clean_and_real_life_data_are_loaded_in_turn() -> None:
    done = run("bench.real_life", "--orders", "300", "--runs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[2:]] == [
        "| clean",
        "| real-life",
        "| real-life / clean",
    ]


def test_events_are_applied_right_after_a_load_and_beside_other_locks() -> None:
    done = run("bench.stock", "--orders", "200", "--locks", "500", "--runs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split(" | ")[:2] for line in done.stdout.splitlines()[4:]] == [
        ["| right after a load", "this"], ["| beside other locks", "this"],
    ]  # fmt: skip


def test_each_of_the_operators_pages_is_measured() -> None:
    done = run("bench.pages", "--orders", "200", "--runs", "1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert [line.split(" | ")[0] for line in done.stdout.splitlines()[4:]] == [f"| {name}" for name in PATHS]


def test_a_folder_without_the_project_is_wrong_usage(tmp_path: Path) -> None:
    failed = run("bench.passes", "--checkout", str(tmp_path))
    assert failed.returncode == 2
    assert "holds no orders_sync" in failed.stderr


@pytest.mark.parametrize("variant", ["ours", "ours_serial", "ours_8", "fetch", "fetch_and_decode", "orm"])
def test_a_variant_handles_all_orders(variant: str, database_url: str) -> None:
    with bench_server(120) as server:
        done = run("bench.variants", variant, server.url, ORDERS_DATABASE_URL=database_url)
        assert server.served >= 3
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["orders"] == 120
