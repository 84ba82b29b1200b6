"""Alembic's entry; `simpul migrate intake` calls it."""

from simpul_intake.tables import IntakeTable
from simpul_runtime.migrations import run_environment
from simpul_runtime.tables import MESSAGING

run_environment(IntakeTable.metadata, MESSAGING)
