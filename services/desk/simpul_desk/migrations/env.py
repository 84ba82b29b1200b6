"""Alembic's entry; `simpul migrate desk` calls it."""

from simpul_desk.tables import DeskTable
from simpul_runtime.migrations import run_environment
from simpul_runtime.tables import MESSAGING

run_environment(DeskTable.metadata, MESSAGING)
