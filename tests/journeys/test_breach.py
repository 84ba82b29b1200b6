"""A breach at an agency, from the command that starts its clock to a phone and the notices; in a running city."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_dev.local_city import LocalCity
from simpul_schema.references import case_reference, referral_code
from tests.journeys.test_cases_by_http import reported
from tests.journeys.test_deadlines_to_people import BOARD, HEAD, PIKET_UPTD, texts_to
from tests.support.ledger import eventually


async def breach(city: LocalCity, *arguments: str, expected: int = 0) -> str:
    database = ["--database-url", city.database_url("intake"), "--city-dir", str(city.city_dir)]
    done = await asyncio.to_thread(CliRunner().invoke, app, ["breach", *arguments, *database])
    assert done.exit_code == expected, done.output
    return str(done.output)


async def is_alerted(city: LocalCity, breach_id: str) -> bool:
    """Whether the phones of the coordinator, the head and the board show the breach, alone or among others."""
    named = f"Simpul: {referral_code(UUID(breach_id))} uptd-ppa: ada kebocoran data. "
    phones = [await texts_to(city, number) for number in (PIKET_UPTD, HEAD, BOARD)]
    return all(any(named in text or "alarm sistem atau data" in text for text in texts) for texts in phones)


async def test_the_children_whom_an_agency_was_offered_are_found_and_notified_by_no_unsafe_contact(
    city: LocalCity,
) -> None:
    identity = {"child_name": "Wenthilora Paksibumi", "guardian_phone": "080000077733"}
    safe = {"safe_contact": "bibi Larasvindi 080000077744"}
    with_contact = (await reported(city, safe_now="no", identity=identity | safe))["case_id"]
    without = (await reported(city, safe_now="no", identity=identity))["case_id"]
    by, key = ["--by", "kepala"], ["--file", str(city.folder / "vault.key")]
    since = ["--since", "2026-01-01", "--agency", "polres-ppa", "--audit-of", city.database_url("routing")]

    opened: dict[str, Any] = json.loads(await breach(city, "open", *since, *by, "--json"))
    breach_id = opened["breach_id"]
    await eventually(lambda: is_alerted(city, breach_id))
    cases = json.loads(await breach(city, "cases", breach_id, "--json"))
    notice = await breach(city, "notice", breach_id, case_reference(UUID(with_contact)), *by, *key)
    silent = await breach(city, "notice", breach_id, without, *by, *key)
    draft = await breach(city, "draft", breach_id)
    await breach(city, "given", breach_id, "--case", case_reference(UUID(with_contact)), *by)
    again = await breach(city, "given", breach_id, "--case", with_contact, *by, expected=2)
    listed = await breach(city, "list", "--language", "en")

    moments = [datetime.fromisoformat(opened[name]) for name in ("due_at", "found_at")]
    assert moments[0] - moments[1] == timedelta(hours=72)
    assert {with_contact, without} <= {case["case_id"] for case in cases}
    assert {tuple(case["sections"]) for case in cases} == {("triage",)}
    assert "hanya kepada: bibi Larasvindi 080000077744" in notice
    assert "Kontak aman tidak diketahui" in silent
    assert "sistem polres-ppa" in draft
    assert not [text for text in (notice, silent, draft, listed) if "Wenthilora" in text or "080000077733" in text]
    assert "no notice" in again
    assert breach_id[:8] in listed
