"""Reads a service's revisions without Alembic, which would take 7 MB in every process that only checks its schema."""

import ast
from importlib.resources import files
from typing import Any


def newest_revision(package: str) -> tuple[str, frozenset[str]]:
    """Returns the newest revision of a service's package, and all that this version knows."""
    versions = files(package) / "migrations" / "versions"
    found = [_read_constants(file.read_text()) for file in versions.iterdir() if file.name.endswith(".py")]
    known = frozenset(str(migration["revision"]) for migration in found)
    [newest] = known - {migration["down_revision"] for migration in found}
    return newest, known


def _read_constants(migration: str) -> dict[str, Any]:
    """Returns the values of `revision` and `down_revision`, which Alembic requires at the top of a migration."""
    assigned = {
        target.id: statement.value
        for statement in ast.parse(migration).body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return {name: ast.literal_eval(assigned[name]) for name in ("revision", "down_revision")}
