"""The audit of a running city: reads are recorded, and the commands verify, show, export and witness."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_dev.local_city import LocalCity
from simpul_schema.vocabulary import ActorRole
from tests.journeys.test_cases_by_http import reported
from tests.support.actors import UPTD, acting
from tests.support.ledger import rows
from tests.support.routing_api import call


async def command(*arguments: str, expected: int = 0) -> str:
    done = await asyncio.to_thread(CliRunner().invoke, app, ["audit", *arguments])
    assert done.exit_code == expected, done.output
    return str(done.output)


async def shown(city: LocalCity, *arguments: str, service: str = "routing") -> Any:
    return json.loads(await command("show", "--database-url", city.database_url(service), "--json", *arguments))


async def test_who_read_a_case_is_recorded_and_so_is_who_was_refused(city: LocalCity) -> None:
    case_id = (await reported(city, safe_now="no"))["case_id"]
    stranger = acting("klinik-pendidikan", ActorRole.RESPONDER)

    read = await call(city, "GET", f"/cases/{case_id}")
    refused = await call(city, "GET", f"/cases/{case_id}/timeline", actor=stranger)

    found = await shown(city, "--subject", f"case/{case_id}", "--action", "api.")
    steps = [(one["action"], one["actor"], one["role"], one["detail"]) for one in found["entries"]]
    assert (read[0], refused[0]) == (200, 404)
    assert steps == [
        ("api.read_case", UPTD.code, UPTD.role.value, "uptd-ppa"),
        ("api.read_timeline", stranger.code, stranger.role.value, "klinik-pendidikan:refused"),
    ]


@pytest.mark.parametrize("service", ["intake", "routing"])
async def test_the_audit_of_a_running_city_is_consistent(city: LocalCity, service: str) -> None:
    await reported(city)

    for language, text in (("id", "tidak ada yang diubah"), ("en", "nothing was changed")):
        verified = await command("verify", "--database-url", city.database_url(service), "--language", language)
        assert text in verified


async def test_a_changed_entry_is_named_in_both_languages(city: LocalCity) -> None:
    await reported(city)
    url = city.database_url("intake")
    await rows(city, "intake", "UPDATE audit SET actor = actor || 'x' WHERE position = 1")
    try:
        for language, text in (("id", "entri 1: isinya diubah"), ("en", "entry 1: its content was changed")):
            assert text in await command("verify", "--database-url", url, "--language", language, expected=1)
        found = json.loads(await command("verify", "--database-url", url, "--json", expected=1))
    finally:
        await rows(city, "intake", "UPDATE audit SET actor = left(actor, -1) WHERE position = 1")

    assert found["problems"] == [{"fault": "content_changed", "position": 1}]


async def test_pages_and_an_export_hold_every_entry_once(city: LocalCity, tmp_path: Path) -> None:
    await reported(city)
    seen: list[int] = []
    after = 0
    while True:
        page = await shown(city, "--limit", "7", "--after", str(after))
        seen += [one["position"] for one in page["entries"]]
        after = page["next_after"]
        if not after:
            break
    url, file = city.database_url("routing"), tmp_path / "audit.jsonl"
    await command("export", str(file), "--database-url", url)
    exported = [json.loads(line)["position"] for line in file.read_text().splitlines()]

    assert seen == exported[: len(seen)] == list(range(1, len(seen) + 1))
    assert "sudah ada" in await command("export", str(file), "--database-url", url, expected=2)
    assert "Pelaku" in await command("show", "--database-url", url, "--limit", "1")


async def test_a_witness_keeps_signed_heads_and_notices_a_rewritten_history(city: LocalCity, tmp_path: Path) -> None:
    await reported(city)
    url, file, directory = city.database_url("routing"), tmp_path / "heads.jsonl", str(city.keys / "directory.json")
    collect = ["witness", city.url("routing"), city.url("intake"), "--file", str(file), "--directory", directory]
    first, again = await command(*collect), await command(*collect)
    verify = ["verify", "--database-url", url, "--service", "routing", "--witness", str(file), "--directory", directory]
    agreed = await command(*verify)
    file.write_text(file.read_text().replace("routing", "desk"))
    forged = await command(*verify, expected=2)

    assert "2 kepala rantai baru" in first
    assert "0 kepala rantai baru" in again
    assert "tidak ada yang diubah" in agreed
    assert "tidak ditandatangani" in forged
