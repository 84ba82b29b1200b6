"""What the desk records in its audit; people are named by their random references."""

from typing import Final
from uuid import UUID

from simpul_runtime.audit import AuditEntry

ANONYMOUS: Final = "anonymous"
OPERATOR: Final = "operator"
"""The actor of what the command `simpul desk` does."""


def login_failed(account_id: UUID | None, why: str) -> AuditEntry:
    """Somebody failed to sign in; `why` is `password` or `code`."""
    return AuditEntry("login.failed", _subject(account_id), ANONYMOUS, "", why)


def signed_in(account_id: UUID, session_id: UUID) -> AuditEntry:
    """A person signed in."""
    return AuditEntry("login", _subject(account_id), str(account_id), "", str(session_id))


def account_changed(account_id: UUID, what: str, by: UUID | None, detail: str = "") -> AuditEntry:
    """An account was changed: by its person, by whoever manages it, or by an operator if `by` is None."""
    return AuditEntry(f"account.{what}", _subject(account_id), str(by) if by else OPERATOR, "", detail)


def account_of(entry: AuditEntry) -> UUID | None:
    """Returns the account that an entry is about; None for an entry about none."""
    kind, _, account_id = entry.subject.partition("/")
    return UUID(account_id) if kind == "account" else None


def _subject(account_id: UUID | None) -> str:
    return f"account/{account_id}" if account_id else ""
