"""A running intake takes reports and amendments while its master key is renewed."""

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_dev.local_city import LocalCity
from simpul_intake.vault import read_master_keys
from tests.support.ledger import eventually
from tests.support.reports import a_report


async def send(city: LocalCity, session: aiohttp.ClientSession, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    headers = city.token_of("uptd-ppa")
    async with session.post(city.url("intake") + path, json=body, headers=headers) as answer:
        return answer.status, await answer.json()


async def used_master_keys(city: LocalCity) -> set[str]:
    connection = await asyncpg.connect(city.database_url("intake"))
    try:
        return {row["key_id"] for row in await connection.fetch("SELECT DISTINCT key_id FROM case_key")}
    finally:
        await connection.close()


async def test_no_report_and_no_amendment_fails_while_the_master_key_is_renewed(city: LocalCity) -> None:
    key_file = city.folder / "vault.key"
    answers: list[int] = []
    async with aiohttp.ClientSession() as session:
        # A report of danger is never held up by an earlier one about the same child.
        _, first = await send(city, session, "/reports", a_report(safe_now="no"))
        rotated = await asyncio.to_thread(
            CliRunner().invoke, app, ["vault", "rotate", "--file", str(key_file), "--begins-in", "0"]
        )
        new = read_master_keys(key_file)[0].key_id

        async def is_renewed() -> bool:
            status, receipt = await send(city, session, "/reports", a_report(safe_now="no"))
            answers.append(status)
            for case in (first, receipt):
                amendment = {"amendment_id": str(uuid4()), "receipt": case["receipt"], "injured": "yes"}
                answers.append((await send(city, session, f"/cases/{case['case_id']}/amendments", amendment))[0])
            return await used_master_keys(city) == {new}

        await eventually(is_renewed)

    assert rotated.exit_code == 0, rotated.output
    assert set(answers) == {202}
