"""What decides who may know of a case: the agencies in it, and those that are excluded from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text, Uuid

_INVOLVING = {"referral": "", "exclusion_review": " AND closed_at IS NULL", "service_plan": " AND closed_at IS NULL"}
"""Tables whose rows involve an agency in a case: it was ever addressed, or has to decide something now."""
_INVOLVED = text(
    " UNION ".join(
        f"SELECT agency FROM {table} WHERE case_id = :case_id{condition}"  # noqa: S608 - built from constants
        for table, condition in _INVOLVING.items()
    )
)
_VERSIONS = text("SELECT case_id, version FROM case_plan WHERE has_exclusions")
_REVIEWED = text("""
    SELECT case_id, version, agency FROM exclusion_review JOIN case_plan USING (case_id) WHERE closed_at IS NULL
""")
_MERGED = text("SELECT case_id FROM case_plan WHERE merged_into = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)
_SITUATIONS = text("SELECT case_id, version, situation FROM case_plan WHERE case_id = ANY(:ids)").bindparams(
    bindparam("ids", type_=ARRAY(Uuid))
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The cases that a list may show."""

    agency: str | None = None
    """Only those in which this agency is involved; None for those of every agency."""
    hidden: Collection[UUID] = field(default=(), repr=False)
    """Cases from which the reader's agency is excluded."""
    unaware: Collection[UUID] = field(default=(), repr=False)
    """Cases in which the reader must not learn that an exclusion is reviewed, because it would warn the suspected."""

    def bind(self) -> dict[str, Any]:
        """Returns the values of the parameters of `in_scope`."""
        return {"scope_agency": self.agency, "scope_hidden": list(self.hidden)}


def in_scope(*columns: str) -> str:
    """Returns the condition that the cases of these columns are in the scope; see `scope_parameters`.

    A column is written with its table: a bare name would be that of the subquery, which is true of every case.
    """
    return " AND ".join(
        f"{column} <> ALL(:scope_hidden) AND (:scope_agency IS NULL OR {_involves_agency(column)})"
        for column in columns
    )


def _involves_agency(column: str) -> str:
    return " OR ".join(
        f"""EXISTS (SELECT FROM {table} involved
            WHERE involved.case_id = {column} AND involved.agency = :scope_agency{condition})"""
        for table, condition in _INVOLVING.items()
    )


def scope_parameters() -> list[Any]:
    """Returns the typed parameters of a statement with `in_scope`."""
    return [bindparam("scope_agency", type_=Text), bindparam("scope_hidden", type_=ARRAY(Uuid))]


async def list_involved_agencies(connection: AsyncConnection, case_id: UUID) -> frozenset[str]:
    """Lists the agencies that were ever addressed in a case, and those that have to decide something about it."""
    return frozenset((await connection.execute(_INVOLVED, {"case_id": case_id})).scalars())


async def list_cases_with_exclusions(connection: AsyncConnection) -> Mapping[UUID, int]:
    """Lists the cases that may exclude an agency, with their own version, which grows with each change of facts."""
    return {row.case_id: row.version for row in await connection.execute(_VERSIONS)}


async def list_reviewed_cases(connection: AsyncConnection) -> Mapping[UUID, tuple[int, str]]:
    """Lists the cases with an open review of suggested exclusions: their own version, and who decides."""
    return {row.case_id: (row.version, row.agency) for row in await connection.execute(_REVIEWED)}


async def find_situations(connection: AsyncConnection, ids: Collection[UUID]) -> Mapping[UUID, tuple[int, bytes]]:
    """Finds version and encrypted facts of cases."""
    rows = await connection.execute(_SITUATIONS, {"ids": list(ids)})
    return {row.case_id: (row.version, row.situation) for row in rows}


async def list_merged_cases(connection: AsyncConnection, ids: Collection[UUID]) -> Sequence[UUID]:
    """Lists the cases that were merged into these."""
    return (await connection.execute(_MERGED, {"ids": list(ids)})).scalars().all()
