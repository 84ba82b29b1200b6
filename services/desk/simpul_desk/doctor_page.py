"""What the last examination by `simpul doctor` found, for those who mend the machines and those who depend on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from simpul_city import City
from simpul_desk.access import Role, User, require
from simpul_desk.rendering import page_language, render
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now

DOCTOR: Final = "/doctor"
STALE: Final = timedelta(hours=2)
"""The age from which an examination proves nothing; the machine repeats it every quarter of an hour."""
_READ: Final = text("SELECT checked_at, findings, skipped FROM examination")
_Reader = Annotated[User, Depends(require(Role.OPERATOR, Role.COORDINATOR))]


@dataclass(frozen=True)
class Examination:
    """The examination that was published last."""

    checked_at: datetime
    findings: Sequence[dict[str, Any]]
    """The critical ones first; each with `code`, `severity`, `cause` by language, and `remedy`."""
    skipped: Sequence[str]
    """Areas that could not be examined."""


def add_doctor_page(web: FastAPI, engine: AsyncEngine, city: City) -> None:
    """Registers the route."""

    @web.get(DOCTOR, include_in_schema=False)
    async def doctor(request: Request, user: _Reader) -> Response:
        async with engine.connect() as connection:
            found = await read_examination(connection)
        language, now = page_language(request), utc_now()
        age = now - found.checked_at if found else timedelta(0)
        return render(
            request,
            "doctor.html",
            found=found,
            age=age,
            is_stale=age > STALE,
            language=language,
            wording=Wording(language, city.zone, now),
        )


async def read_examination(connection: AsyncConnection) -> Examination | None:
    """Reads the examination that was published last; None before the first."""
    row = (await connection.execute(_READ)).first()
    return Examination(*row) if row else None
