"""Accepts the codes that people quote where a command works on the database of a service."""

from collections.abc import Sequence
from typing import Annotated, Final, NoReturn
from uuid import UUID

import asyncpg
import typer

from simpul_cli.servers import run_on_database
from simpul_schema.references import CodeRange, read_code

CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="K-7K3Q-2M9F or the id of the case")]
IN_INTAKE: Final = ("report", "erased_case")
"""Tables of intake that have every case, the second one those that were erased."""
IN_ROUTING: Final = ("case_plan",)
"""The table of routing that has every case."""
REFUSED: Final = 2


def find_case(database_url: str, written: str, tables: Sequence[str]) -> UUID:
    """Finds the case of an id or a code; an id is returned as it is. Exits with the reason where there is not one."""
    try:
        return UUID(written)
    except ValueError:
        code = read_code(written)
    if code is None or code.kind != "case":
        _refuse(f"{written} is neither an id nor the code of a case; write it like K-7K3Q-2M9F")
    found = run_on_database(database_url, _find_in_range(database_url, code, tables))
    if len(found) != 1:
        _refuse(f"{written} stands for {'several cases; write the id' if found else 'no case in this database'}")
    return found[0]


async def _find_in_range(database_url: str, code: CodeRange, tables: Sequence[str]) -> list[UUID]:
    connection = await asyncpg.connect(database_url)
    try:
        statement = " UNION ".join(f"SELECT case_id FROM {table} WHERE case_id BETWEEN $1 AND $2" for table in tables)  # noqa: S608 - of constants
        return [row["case_id"] for row in await connection.fetch(statement, code.first, code.last)]
    finally:
        await connection.close()


def _refuse(reason: str) -> NoReturn:
    typer.echo(reason, err=True)
    raise typer.Exit(REFUSED)
