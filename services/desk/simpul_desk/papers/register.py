"""The register of what was printed; it names agencies, codes and services, and never a person."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32, in which nothing is mistaken for something else."""
_LENGTH: Final = 12
"""60 random bits, so that nobody finds a code by guessing."""
_READ_AS: Final = str.maketrans("OIL", "011")

_ADD: Final = text("""
    INSERT INTO printed_paper (code, kind, number, agency, services, printed_at, printed_by)
    VALUES (:code, :kind, :number, :agency, :services, :printed_at, :printed_by)
""")
_FIND: Final = text("SELECT kind, number, agency, services, printed_at FROM printed_paper WHERE code = :code")


@dataclass(frozen=True, slots=True)
class PrintedPaper:
    """What the register says of a paper."""

    kind: str
    """`letter`, `recap` (of a case) or `figures`."""
    number: str
    """As it is printed: the code of the referral, or the reference of the case."""
    agency: str
    """Code of the agency that printed it."""
    services: Sequence[str]
    printed_at: datetime


def new_code() -> str:
    """Returns a code for a paper, such as 7K3Q-2M9F-X0AB."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    return "-".join(code[start : start + 4] for start in range(0, _LENGTH, 4))


async def register_paper(connection: AsyncConnection, code: str, paper: PrintedPaper, printed_by: UUID) -> None:
    """Registers a paper under its code."""
    await connection.execute(
        _ADD,
        {
            "code": normalize_code(code),
            "kind": paper.kind,
            "number": paper.number,
            "agency": paper.agency,
            "services": list(paper.services),
            "printed_at": paper.printed_at,
            "printed_by": printed_by,
        },
    )


async def find_paper(connection: AsyncConnection, code: str) -> PrintedPaper | None:
    """Finds a paper by its code as somebody typed it; None for a code of nothing."""
    row = (await connection.execute(_FIND, {"code": normalize_code(code)})).one_or_none()
    return PrintedPaper(*row) if row else None


def normalize_code(typed: str) -> str:
    """Returns a typed code as the register has it; what cannot be a code becomes empty."""
    code = typed.upper().translate(_READ_AS).replace("-", "").replace(" ", "")
    return code if len(code) == _LENGTH and set(code) <= set(_LETTERS) else ""
