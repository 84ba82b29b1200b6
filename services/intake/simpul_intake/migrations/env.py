"""Alembic's entry; `simpul migrate intake` calls it."""

from simpul_intake.tables import MESSAGING, IntakeTable
from simpul_runtime.migrations import run_environment

run_environment(IntakeTable.metadata, MESSAGING)
