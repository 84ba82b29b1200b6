"""Prints a paper: registers it, lays it out, and records who printed it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine
from yarl import URL

from simpul_desk.access import User
from simpul_desk.papers.register import PrintedPaper, new_code, register_paper
from simpul_desk.papers.typesetting import Paper, typeset
from simpul_runtime.audit import AuditEntry, append_entries
from simpul_runtime.database import utc_now

PAPER: Final = "/paper"
"""Where anybody checks a paper."""
_OWN_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Printer:
    """Prints for the people of the desk."""

    engine: AsyncEngine

    async def print(
        self,
        request: Request,
        user: User,
        paper: Paper,
        *,
        kind: str,
        agency: str,
        subject: str,
        services: Sequence[str],
        language: str,
    ) -> Response:
        """Answers a request with the PDF; `kind` is that of `PrintedPaper`; `subject` is what the audit calls it."""
        code, now = new_code(), utc_now()
        address = str(
            URL.build(scheme=_scheme_of(request), authority=request.url.netloc, path=PAPER, query={"code": code})
        )
        # First, so that what cannot be laid out is not registered.
        content = await typeset(paper, code=code, address=address, language=language)
        registered = PrintedPaper(kind, paper.number, agency, tuple(dict.fromkeys(services)), now)
        async with self.engine.begin() as connection:
            await register_paper(connection, code, registered, user.id)
            entry = AuditEntry("paper.printed", subject, str(user.id), "", f"{kind}:{code}")
            await append_entries(connection, [entry], now)
        headers = {
            "content-disposition": f'inline; filename="{paper.number.replace(" ", "")}.pdf"',
            "cache-control": "no-store",
        }
        return Response(content, media_type="application/pdf", headers=headers)


def _scheme_of(request: Request) -> str:
    """Returns how the address on a paper begins; a gateway in front of the desk ends TLS, so its own scheme is unknown.

    Only on the desk's own machine, such as in a demo, does a browser reach it without a gateway.
    """
    return request.url.scheme if request.url.hostname in _OWN_MACHINE else "https"
