"""What came out, for programs and for the file that belongs to the agreement."""

import base64
import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_agency.sandbox.city import Heard, Published
from simpul_seal import SIGNATURE_HEADER

MOST_BYTES = 40
"""Messages kept of a case that failed; the first ones are those that matter."""


@dataclass(frozen=True)
class Verdict:
    """How one case ended."""

    name: str
    requirement: str
    reason: str
    """Why it failed; empty when it passed."""
    seconds: float
    sent: tuple[Published, ...] = field(default=(), repr=False)
    """What was sent to the consumer, to reproduce it."""
    heard: tuple[Heard, ...] = field(default=(), repr=False)
    log: str = field(default="", repr=False)
    """The consumer's last words."""

    @property
    def passed(self) -> bool:
        """Whether the consumer did what was asked."""
        return not self.reason

    def described(self) -> dict[str, Any]:
        """For the JSON report; bytes only where something went wrong."""
        known: dict[str, Any] = {
            "case": self.name, "requirement": self.requirement, "passed": self.passed,
            "seconds": round(self.seconds, 2),
        }  # fmt: skip
        if self.passed:
            return known
        sent = [
            {"routing_key": one.routing_key, SIGNATURE_HEADER: one.signature, "body_base64": _text(one.body)}
            for one in self.sent[:MOST_BYTES]
        ]
        heard = [{SIGNATURE_HEADER: one.signature, "body_base64": _text(one.body)} for one in self.heard[:MOST_BYTES]]
        return known | {"reason": self.reason, "sent": sent, "heard": heard, "log": self.log}


@dataclass(frozen=True)
class Outcome:
    """Of all cases that were run."""

    command: str
    agency: str
    at: datetime
    verdicts: tuple[Verdict, ...]
    is_whole: bool
    """Whether all cases were run, and not only some."""

    @property
    def conforms(self) -> bool:
        """Whether no case failed."""
        return all(verdict.passed for verdict in self.verdicts)

    def write(self, folder: Path) -> list[Path]:
        """`report.json` and `report.html`, the latter one printed page."""
        folder.mkdir(parents=True, exist_ok=True)
        machine, page = folder / "report.json", folder / "report.html"
        machine.write_text(json.dumps(self._described(), indent=1, ensure_ascii=False), encoding="utf-8")
        templates = Environment(
            loader=PackageLoader("simpul_agency.conformance"), autoescape=True, undefined=StrictUndefined
        )
        page.write_text(templates.get_template("report.html").render(outcome=self), encoding="utf-8")
        return [machine, page]

    def _described(self) -> dict[str, Any]:
        return {
            "conforms": self.conforms,
            "whole": self.is_whole,
            "command": self.command,
            "agency": self.agency,
            "at": self.at.isoformat(timespec="seconds"),
            "cases": [verdict.described() for verdict in self.verdicts],
        }


def _text(body: bytes) -> str:
    return base64.b64encode(body).decode()
