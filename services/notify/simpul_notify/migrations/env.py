"""Alembic's entry; `simpul migrate notify` calls it."""

from simpul_notify.tables import NotifyTable
from simpul_runtime.migrations import run_environment
from simpul_runtime.tables import MESSAGING

run_environment(NotifyTable.metadata, MESSAGING)
