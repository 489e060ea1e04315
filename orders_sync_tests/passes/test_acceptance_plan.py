"""Which requests passes send about the waiting lines of an order, and from when on."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_sync.config.acceptance import RefuseAfter
from orders_sync.marketplaces.kit.adapter import AcceptanceUnit
from orders_sync.passes.acceptance_plan import Rules, planned_requests
from orders_sync.passes.waiting_lines import MAX_REQUESTS, REFUSAL_NOTICE, WaitingLine

PAID = datetime(2026, 3, 2, 10, tzinfo=UTC)
AFTER = timedelta(hours=20)
REFUSED_FROM = PAID + AFTER
UNITS: tuple[AcceptanceUnit, ...] = ("item", "sku", "order")


def line(
    item_id: str, sku: str, *, short: datetime | None = None, lost: bool = False, held_back: str | None = None,
    requests: int = 0,
) -> WaitingLine:  # fmt: skip
    """A line; `short`: since when it is short. `lost`: short without a lock that waits."""
    is_short = lost or short is not None
    return WaitingLine("shop", "1", item_id, sku, 1, PAID, is_short, short, None, False, held_back, requests)


CASE = line("1", "CASE")
PHONE = line("2", "PHONE", short=PAID)
LATE_PHONE = line("3", "PHONE", short=REFUSED_FROM)
WATCH = line("4", "WATCH", short=PAID)


def rules(acceptance: AcceptanceUnit | None, refusal: AcceptanceUnit | None) -> Rules:
    return Rules(RefuseAfter(refuse_after=AFTER), acceptance, refusal, None)


def plan(lines: list[WaitingLine], rules: Rules) -> list[tuple[str, str, datetime | None]]:
    """The items that each request accepts, those that it refuses, and from when on."""
    return [
        (
            " ".join(line.item_id for line in request.accepted),
            " ".join(line.item_id for line in request.refused),
            request.due,
        )
        for request in planned_requests(lines, rules)
    ]


@pytest.mark.parametrize(
    ("acceptance", "refusal", "expected"),
    [
        ("item", "item", [("1", "", None), ("", "2", REFUSED_FROM), ("", "3", REFUSED_FROM + REFUSAL_NOTICE)]),
        ("sku", "sku", [("1", "", None), ("", "2 3", REFUSED_FROM + REFUSAL_NOTICE)]),
        ("order", "order", [("1", "2 3", REFUSED_FROM + REFUSAL_NOTICE)]),
        ("order", "sku", [("", "2 3", REFUSED_FROM + REFUSAL_NOTICE), ("1", "", REFUSED_FROM + REFUSAL_NOTICE)]),
        (
            "order", "item",
            [
                ("", "2", REFUSED_FROM), ("", "3", REFUSED_FROM + REFUSAL_NOTICE),
                ("1", "", REFUSED_FROM + REFUSAL_NOTICE),
            ],
        ),
        ("sku", None, [("1", "", None)]),
        ("order", None, []),
        (None, None, []),
        (None, "sku", []),
    ],
)  # fmt: skip
def test_the_units_decide_what_is_answered_together_and_when(
    acceptance: AcceptanceUnit | None, refusal: AcceptanceUnit | None, expected: list[tuple[str, str, datetime | None]]
) -> None:
    assert plan([CASE, PHONE, LATE_PHONE], rules(acceptance, refusal)) == expected


def test_a_refusal_of_a_sku_is_not_sent_while_a_line_of_it_has_stock() -> None:
    lines = [line("1", "PHONE"), PHONE, WATCH]
    assert plan(lines, rules("sku", "sku")) == [("", "4", REFUSED_FROM)]
    assert plan(lines, rules("order", "sku")) == [("", "4", REFUSED_FROM)]


def test_what_is_not_refused_frees_nothing() -> None:
    held = [each._replace(held_back="a box is on its way") for each in (CASE, PHONE)]
    assert plan(held, rules("order", "sku")) == []
    assert plan([CASE, line("2", "PHONE", lost=True)], rules("order", "sku")) == []
    given_up = [CASE, PHONE._replace(requests=MAX_REQUESTS)]
    assert [request.is_given_up for request in planned_requests(given_up, rules("order", "sku"))] == [True]


def test_one_line_that_is_given_up_ends_the_requests_about_those_that_are_answered_with_it() -> None:
    lines = [CASE._replace(requests=MAX_REQUESTS), line("5", "CHARGER")]
    assert [request.is_given_up for request in planned_requests(lines, rules("order", "sku"))] == [True]
    assert [request.is_given_up for request in planned_requests(lines, rules("sku", "sku"))] == [True, False]


def test_nothing_of_a_rejected_version_is_answered() -> None:
    assert planned_requests([each._replace(is_rejected=True) for each in (CASE, PHONE)], rules("sku", "sku")) == []


@st.composite
def orders(draw: st.DrawFn) -> list[WaitingLine]:
    """The waiting lines of an order, in the order of `waiting_lines`."""
    moments = st.sampled_from([None, PAID, REFUSED_FROM])
    skus = sorted(draw(st.lists(st.sampled_from(["CASE", "PHONE", "WATCH"]), min_size=1, max_size=5)))
    return [
        line(str(number), sku, short=draw(moments), lost=draw(st.booleans()), requests=draw(st.sampled_from([0, 5])))
        for number, sku in enumerate(skus)
    ]


@given(orders(), st.sampled_from(UNITS), st.sampled_from(UNITS))
def test_no_plan_accepts_a_short_line_or_refuses_one_with_stock_or_leaves_one_of_a_target_out(
    lines: list[WaitingLine], acceptance: AcceptanceUnit, refusal: AcceptanceUnit
) -> None:
    requests = planned_requests(lines, rules(acceptance, refusal))
    answered = [each for request in requests for each in (*request.accepted, *request.refused)]
    assert len({each.item_id for each in answered}) == len(answered)
    assert not any(each.is_short for request in requests for each in request.accepted)
    assert all(each.is_short for request in requests for each in request.refused)
    for request in requests:
        before = [each for other in requests[: requests.index(request)] for each in (*other.accepted, *other.refused)]
        own = [*request.accepted, *request.refused]
        assert all(each in own or each in before for each in lines if each.is_of(request.target))
