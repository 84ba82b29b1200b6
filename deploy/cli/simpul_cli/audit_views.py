"""Shows the audit as tables and sentences, in Bahasa Indonesia or English."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from rich.console import Console
from rich.table import Column, Table

from simpul_runtime.audit import AuditFault, AuditPage, StoredEntry, VerifiedAudit
from simpul_schema.translations import gettext_noop, load_translations

_WIDTH: Final = 130
"""Columns of the output where no terminal says how many it has."""
_FAULTS: Final[Mapping[AuditFault, str]] = MappingProxyType(
    {
        AuditFault.CONTENT_CHANGED: gettext_noop("entry {position}: its content was changed"),
        AuditFault.LINK_CHANGED: gettext_noop("entry {position}: its link in the chain was changed"),
        AuditFault.ENTRIES_MISSING: gettext_noop("entry {position}: entries were deleted or moved here"),
        AuditFault.BLOCK_CHANGED: gettext_noop(
            "entry {position}: entries were changed, reordered or invented from here"
        ),
        AuditFault.END_MISSING: gettext_noop("entry {position}: entries were deleted from here to the end"),
        AuditFault.REWRITTEN: gettext_noop(
            "entry {position}: the history was rewritten from here or later; a signed head that was kept contradicts it"
        ),
    }
)
_CONSISTENT: Final = gettext_noop("{entries} entries: nothing was changed. Signed heads that agree: {heads}.")
_CONTRADICTED: Final = gettext_noop("{entries} entries, {count} contradictions:")
_PAGE: Final = gettext_noop("{shown} of {total}")
_MORE: Final = gettext_noop("{shown} of {total}. The next page: --after {after}")
_EXPORTED: Final = gettext_noop("{count} entries were written to {file}")
_EXISTS: Final = gettext_noop("{file} exists already; choose another name")
_NOT_SIGNED: Final = gettext_noop("{file}, line {line}: this head was not signed by its service")
_WITNESSED: Final = gettext_noop("{count} new heads were added to {file}")
_NO_HEAD: Final = gettext_noop("{url}: no head ({reason})")


class AuditViews:
    """Prints in one language."""

    def __init__(self, language: str) -> None:
        self._console = Console(width=None if Console().is_terminal else _WIDTH, highlight=False, markup=False)
        self._: Callable[[str], str] = load_translations("simpul_cli")[language].gettext

    def print_verified(self, verified: VerifiedAudit, heads: int) -> None:
        """Prints the outcome of a verification."""
        if not verified.problems:
            self._print(_CONSISTENT, entries=verified.entries, heads=heads)
            return
        self._print(_CONTRADICTED, entries=verified.entries, count=len(verified.problems))
        for problem in verified.problems:
            self._print(_FAULTS[problem.fault], position=problem.position)

    def print_page(self, page: AuditPage) -> None:
        """Prints a page of entries."""
        _ = self._
        names = ("#", _("Time"), _("Actor"), _("Role"), _("Action"), _("About"), _("Detail"))
        table = Table(*(Column(name, overflow="fold") for name in names))
        for one in page.entries:
            moment = one.at.strftime("%Y-%m-%d %H:%M:%SZ")
            table.add_row(str(one.position), moment, one.actor, one.role, one.action, one.subject, one.detail)
        if page.entries:
            self._console.print(table)
        text = _MORE if page.next_after else _PAGE
        self._print(text, shown=len(page.entries), total=page.total, after=page.next_after)

    def print_exported(self, count: int, file: Path) -> None:
        """Says how many entries were exported."""
        self._print(_EXPORTED, count=count, file=file)

    def print_existing(self, file: Path) -> None:
        """Says that the file exists."""
        self._print(_EXISTS, file=file)

    def print_not_signed(self, file: Path, line: int) -> None:
        """Names the line of a head that its service has not signed."""
        self._print(_NOT_SIGNED, file=file, line=line)

    def print_witnessed(self, count: int, file: Path, failed: Sequence[tuple[str, str]]) -> None:
        """Says how many heads were new, and which services gave none."""
        self._print(_WITNESSED, count=count, file=file)
        for url, reason in failed:
            self._print(_NO_HEAD, url=url, reason=reason)

    def _print(self, text: str, **values: object) -> None:
        self._console.print(self._(text).format(**values), soft_wrap=True)


def entry_to_json(entry: StoredEntry) -> dict[str, Any]:
    """Returns an entry as JSON values; bytes in hexadecimal digits."""
    return {
        "position": entry.position,
        "block": entry.block,
        "at": entry.at.isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "role": entry.role,
        "action": entry.action,
        "subject": entry.subject,
        "detail": entry.detail,
        "salt": entry.salt.hex(),
        "commitment": entry.commitment.hex(),
        "digest": entry.digest.hex(),
        "hash": entry.hash.hex(),
    }
