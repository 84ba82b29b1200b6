"""Frequent queries use an index, however many cases there are."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import TextClause, text

from simpul_routing import repository
from simpul_routing.api.paging import FIRST_PAGE
from simpul_routing.api.queries import build_timeline
from simpul_routing.repository import clocks, history, views
from tests.integration.routing.conftest import START, Room
from tests.support.loader import SERVICES, load

CASES = 5_000


@pytest.fixture
async def full(room: Room) -> Room:
    await load(room.url, room.keys, CASES, room.now, lambda _: None)
    return room


async def test_the_loader_writes_what_the_services_read(full: Room) -> None:
    [counted] = await full.rows(
        "SELECT (SELECT count(*) FROM case_plan) AS cases, (SELECT count(*) FROM service) AS referrals,"
        " (SELECT count(*) FROM service WHERE ended_at IS NULL) AS waiting,"
        " (SELECT count(*) FROM case_event) AS history"
    )
    [open_case, *_] = await full.rows("SELECT case_id FROM case_plan WHERE ended_at IS NULL")
    async with full.engine.connect() as connection:
        page = await repository.list_open_referrals(connection, "uptd-ppa", FIRST_PAGE, 51, repository.Scope())
        lines = await build_timeline(connection, full.keys, open_case["case_id"], {}, "en")
    async with full.transaction() as transaction:
        taken = await full.clocks.sweep_clocks(transaction, full.now)

    assert counted == {"cases": 5_000, "referrals": 25_000, "waiting": 500, "history": 98_500}
    assert len(page) == 51
    assert len(lines) == len(SERVICES)
    assert taken == 100
    assert {
        tuple(step["escalation_targets"]) for step in full.find_services("referral.reminded.v1", agency="rs-rujukan")
    } == {("rs-rujukan",)}


@pytest.mark.parametrize(
    ("query", "values"),
    [
        (
            views._OPEN_REFERRALS,
            {"agency": "uptd-ppa", "answer_by": FIRST_PAGE[0], "referral_id": FIRST_PAGE[1], "limit": 51}
            | repository.Scope().bind(),
        ),
        (history._OF_CASE, {"case_id": UUID(int=7)}),
        (views._OF_CASE, {"case_id": UUID(int=7)}),
        (clocks._DUE, {"now": START, "limit": 100}),
    ],
)
async def test_no_query_scans_a_whole_table(full: Room, query: TextClause, values: dict[str, Any]) -> None:
    async with full.engine.connect() as connection:
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {query.text}"), values)).scalars())

    assert "Index" in plan
    assert "Seq Scan" not in plan
