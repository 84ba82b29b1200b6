"""The result of the cases, as JSON for programs and as a page that can be filed with the agreement."""

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agency.sandbox.city import PublishedMessage
from simpul_agency.sandbox.replies import AgencyReply
from simpul_seal import SIGNATURE_HEADER

MAX_MESSAGES: Final = 40
"""Messages that the report holds of a failed case; the first ones matter most."""


@dataclass(frozen=True)
class Verdict:
    """The result of one case."""

    name: str
    requirement: str
    reason: str
    """Why the case failed; empty when it passed."""
    seconds: float
    sent: tuple[PublishedMessage, ...] = field(default=(), repr=False)
    """The messages to the consumer, which reproduce the failure."""
    received: tuple[AgencyReply, ...] = field(default=(), repr=False)
    log: str = field(default="", repr=False)
    """The end of the consumer's log."""

    @property
    def passed(self) -> bool:
        """Whether the consumer met the requirement."""
        return not self.reason

    def describe(self) -> dict[str, Any]:
        """Describes the result for the JSON report; only a failed case has its messages."""
        known: dict[str, Any] = {
            "case": self.name,
            "requirement": self.requirement,
            "passed": self.passed,
            "seconds": round(self.seconds, 2),
        }
        if self.passed:
            return known
        sent = [
            {"routing_key": one.routing_key, SIGNATURE_HEADER: one.signature, "body_base64": _text(one.body)}
            for one in self.sent[:MAX_MESSAGES]
        ]
        received = [
            {SIGNATURE_HEADER: one.signature, "body_base64": _text(one.body)} for one in self.received[:MAX_MESSAGES]
        ]
        return known | {"reason": self.reason, "sent": sent, "received": received, "log": self.log}


@dataclass(frozen=True)
class Outcome:
    """The results of all cases that were run."""

    command: str
    agency: str
    at: datetime
    verdicts: tuple[Verdict, ...]
    is_complete: bool
    """Whether all cases were run."""

    @property
    def conforms(self) -> bool:
        """Whether all cases passed."""
        return all(verdict.passed for verdict in self.verdicts)

    def write(self, folder: Path) -> list[Path]:
        """Writes `report.json` and `report.html`, which prints on one page; returns their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        machine, page = folder / "report.json", folder / "report.html"
        machine.write_text(json.dumps(self._describe(), indent=1, ensure_ascii=False), encoding="utf-8")
        templates = Environment(
            loader=PackageLoader("simpul_agency.conformance"), autoescape=True, undefined=StrictUndefined
        )
        page.write_text(templates.get_template("report.html").render(outcome=self), encoding="utf-8")
        return [machine, page]

    def _describe(self) -> dict[str, Any]:
        return {
            "conforms": self.conforms,
            "complete": self.is_complete,
            "command": self.command,
            "agency": self.agency,
            "at": self.at.isoformat(timespec="seconds"),
            "cases": [verdict.describe() for verdict in self.verdicts],
        }


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()
