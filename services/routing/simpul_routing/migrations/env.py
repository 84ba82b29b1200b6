"""Alembic's entry; `simpul migrate routing` calls it."""

from simpul_routing.tables import MESSAGING, RoutingTable
from simpul_runtime.migrations import run_environment

run_environment(RoutingTable.metadata, MESSAGING)
