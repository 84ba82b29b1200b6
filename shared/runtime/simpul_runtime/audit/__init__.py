"""The audit of a service: who did or read what, append-only, each entry chained to the ones before it.

The entries of a transaction are written by one statement at its end and form a block. The hash of a block covers the
hash of the block before it, so that a change of any entry contradicts every later block, and the signed head that
others hold contradicts a history that was rewritten.
"""

from simpul_runtime.audit.chain import append_entries
from simpul_runtime.audit.entries import AuditEntry, StoredEntry
from simpul_runtime.audit.heads import head_moment, sign_earlier_heads, sign_head
from simpul_runtime.audit.queries import AuditFilter, AuditPage, find_entries, stream_entries
from simpul_runtime.audit.verification import AuditFault, AuditProblem, VerifiedAudit, verify_audit

__all__ = [
    "AuditEntry",
    "AuditFault",
    "AuditFilter",
    "AuditPage",
    "AuditProblem",
    "StoredEntry",
    "VerifiedAudit",
    "append_entries",
    "find_entries",
    "head_moment",
    "sign_earlier_heads",
    "sign_head",
    "stream_entries",
    "verify_audit",
]
