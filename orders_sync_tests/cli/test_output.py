"""How the commands print tables, times and durations."""

import ast
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from rich.console import Console

from orders_sync.cli import output
from orders_sync.cli.output import console, print_as_it_is, print_beside, print_error, print_warning, yes_or_no
from orders_sync.cli.rows import print_rows
from orders_sync.cli.tables import table
from orders_sync.model.time_words import moment, span


def printed(shown: object) -> str:
    console = Console(width=60, no_color=True)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_a_table_shows_texts_as_they_are() -> None:
    shown = table("Title [1]", "name", "works")
    shown.add_row("[red]text[/red]", yes_or_no(True))
    shown.add_row("[/not opened]", yes_or_no(False))
    lines = printed(shown)
    for text in ("Title [1]", "[red]text[/red]", "[/not opened]", "yes", "no"):
        assert text in lines


def test_a_long_text_folds() -> None:
    shown = table("Title", "column")
    shown.add_row("x" * 100)
    assert printed(shown).count("x") == 100


def test_a_time_is_shown_in_utc() -> None:
    assert moment(datetime(2026, 1, 2, 3, 4, 5, 999, tzinfo=UTC)) == "2026-01-02 03:04:05"
    assert moment(datetime(2026, 1, 2, 0, 0, tzinfo=timezone(timedelta(hours=2)))) == "2026-01-01 22:00:00"
    assert moment(None) == "-"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"),
        (172_799, "47 h 59 min"), (172_800, "2 days"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_in_its_largest_unit(seconds: float | None, text: str) -> None:
    assert span(seconds) == text


def test_a_spreadsheet_runs_no_text_of_a_csv_file(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["=cmd|' /C calc'!A1", "+1+1", "-2+3", "@SUM(1)", "\tx", "a=b", "-5.00", "", "a;=1"]
    print_rows("Title", ["id", "number"], [[text, -5] for text in texts], as_json=False, as_csv=True)
    assert capsys.readouterr().out.splitlines() == [
        "id,number", "'=cmd|' /C calc'!A1,-5", "'+1+1,-5", "'-2+3,-5", "'@SUM(1),-5", "^Ix,-5", "a=b,-5", "-5.00,-5", ",-5", "a;'=1,-5",
    ]  # fmt: skip


def test_a_terminal_obeys_no_line_with_a_text_of_a_marketplace(capsys: pytest.CaptureFixture[str]) -> None:
    console.print("1 pieces of SKU PH\x1b[2JONE are in quarantine.", markup=False)
    assert capsys.readouterr().out == "1 pieces of SKU PH^[[2JONE are in quarantine.\n"
    print_error("SKU PH\x1b[2JONE is not in the stock list.")
    assert capsys.readouterr().err == "SKU PH^[[2JONE is not in the stock list.\n"
    print_beside("Error: there is no SKU PH\x1b[2JONE.", "red")
    assert capsys.readouterr().err == "Error: there is no SKU PH^[[2JONE.\n"


@pytest.mark.parametrize(("is_terminal", "expected"), [(True, "a^[[2J\n"), (False, "a\x1b[2J\n")])
def test_what_is_printed_for_programs_is_shown_in_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool, expected: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    print_as_it_is("a\x1b[2J")
    assert capsys.readouterr().out == expected


def test_a_line_shows_a_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = "SKU [red]A[/red] :smile: \x1b]0;evil\x07 PH\u202eENO [/not opened]"
    console.print(text, markup=False)
    print_error(text)
    print_warning(text)
    printed = capsys.readouterr()
    shown = "SKU [red]A[/red] :smile: ^[]0;evil^G PH\\u202eENO [/not opened]"
    assert (printed.out.splitlines(), printed.err.splitlines()) == ([shown], [shown] * 2)


COMMANDS = Path(output.__file__).parent


@pytest.mark.parametrize("module", sorted(path.name for path in COMMANDS.glob("*.py")))
def test_no_command_lets_rich_read_markup_in_a_value(module: str) -> None:
    """A value may be a text of a marketplace. A number, which has a format, is none."""
    for node in ast.walk(ast.parse((COMMANDS / module).read_text())):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) != "console.print":
            continue
        says = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "markup"]
        values = [part for text in node.args for part in ast.walk(text) if isinstance(part, ast.FormattedValue)]
        is_text = any(value.format_spec is None for value in values)
        line = ast.unparse(node)
        assert says or not is_text, f"{line} needs markup=False"
        assert says != ["True"] or {ast.unparse(value.value) for value in values} <= PHASES, line


PHASES = {"phase", "MEANING[phase]", "move.from_phase", "move.to_phase", "MEANING[move.to_phase]"}
"""The values that stand in texts with markup: words of ours."""


def test_a_terminal_obeys_no_text_of_a_marketplace() -> None:
    shown = table("Order \x1b[2J1", "SKU")
    shown.add_row("PH\x1b]0;owned\x07\x1b[2JONE\x9b\ttab")
    output = printed(shown)
    assert "Order ^[[2J1" in output
    assert "PH^[]0;owned^G^[[2JONEM-^[^Itab" in output
    assert "\x1b" not in output
