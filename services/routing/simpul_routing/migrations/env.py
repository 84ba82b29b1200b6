"""Alembic's entry; `simpul migrate routing` calls it."""

from simpul_routing.tables import RoutingTable
from simpul_runtime.migrations import run_environment
from simpul_runtime.tables import MESSAGING

run_environment(RoutingTable.metadata, MESSAGING)
