"""Shows breaches as tables and sentences, in Bahasa Indonesia or English."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Column, Table

from simpul_intake.breach import BreachNotice
from simpul_intake.repository import BreachedCase, StoredBreach
from simpul_schema.translations import gettext_noop, load_translations

_WIDTH: Final = 130
_ONLY_TO: Final = gettext_noop("Give this notice only to: {contact}")
_NO_SAFE_CONTACT: Final = gettext_noop(
    "No safe contact is known. The case manager gives this notice in person; call or write to nobody."
)


class BreachViews:
    """Prints in one language, with times of the city's zone."""

    def __init__(self, language: str, zone: ZoneInfo, now: datetime) -> None:
        self._zone, self._now = zone, now
        self._console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
        self._: Callable[[str], str] = load_translations("simpul_cli")[language].gettext

    def is_overdue(self, stored: StoredBreach) -> bool:
        """Whether a notice was not given in time."""
        return not self._is_done(stored) and self._now > stored.breach.due_at

    def print_breaches(self, breaches: Sequence[StoredBreach]) -> None:
        """Prints breaches with the time that is left."""
        _ = self._
        table = self._start_table(_("Breach"), _("Found"), _("Due"), _("Left"), _("Children"), _("Authority"))
        for one in breaches:
            breach = one.breach
            table.add_row(
                str(breach.breach_id),
                self._when(breach.found_at),
                self._when(breach.due_at),
                self._left(one),
                f"{breach.notified}/{breach.cases}",
                self._when(one.authority_notified_at) if one.authority_notified_at else _("not notified"),
            )
        self._console.print(table if breaches else _("none"))

    def print_cases(self, cases: Sequence[BreachedCase]) -> None:
        """Prints the cases of a breach."""
        _ = self._
        table = self._start_table(_("Case"), _("Sections"), _("Notified"))
        for one in cases:
            notified = self._when(one.notified_at) if one.notified_at else _("not notified")
            table.add_row(str(one.case_id), ", ".join(one.sections), notified)
        self._console.print(table if cases else _("none"))

    def print_notice(self, notice: BreachNotice) -> None:
        """Prints the notice to a child, after the only contact that may be used."""
        line = _ONLY_TO if notice.safe_contact else _NO_SAFE_CONTACT
        self._console.print(self._(line).format(contact=notice.safe_contact), soft_wrap=True)
        self._console.print("")
        self._console.print(notice.text, soft_wrap=True)

    def to_json(self, stored: StoredBreach) -> dict[str, Any]:
        """Returns a breach as JSON values."""
        breach, at = stored.breach, stored.authority_notified_at
        return {
            "breach_id": str(breach.breach_id),
            "found_at": breach.found_at.isoformat(),
            "due_at": breach.due_at.isoformat(),
            "cases": breach.cases,
            "notified": breach.notified,
            "authority_notified_at": at.isoformat() if at else None,
            "is_overdue": self.is_overdue(stored),
        }

    def case_to_json(self, case: BreachedCase) -> dict[str, Any]:
        """Returns a case of a breach as JSON values."""
        notified_at = case.notified_at.isoformat() if case.notified_at else None
        return {"case_id": str(case.case_id), "sections": list(case.sections), "notified_at": notified_at}

    def _is_done(self, stored: StoredBreach) -> bool:
        return stored.authority_notified_at is not None and stored.breach.notified == stored.breach.cases

    def _left(self, stored: StoredBreach) -> str:
        if self._is_done(stored):
            return self._("done")
        seconds = (stored.breach.due_at - self._now).total_seconds()
        if seconds < 0:
            return self._("overdue")
        return self._("{hours} h {minutes} min").format(hours=int(seconds // 3600), minutes=int(seconds % 3600 // 60))

    def _when(self, moment: datetime) -> str:
        return moment.astimezone(self._zone).strftime("%Y-%m-%d %H:%M %Z")

    def _start_table(self, *columns: str) -> Table:
        return Table(*(Column(column, overflow="fold") for column in columns))
