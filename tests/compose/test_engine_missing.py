"""The summary of a run says when docker-compose.yml was not tested."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REASON = "THE COMPOSE FILE WAS NOT TRIED: DOCKER_HOST is unix:///nowhere, and no engine answers there"


@pytest.mark.parametrize(("ci", "code", "outcome"), [("true", 1, "1 error"), ("", 0, "1 skipped")])
def test_a_missing_engine_fails_in_ci_and_is_named_everywhere(tmp_path: Path, ci: str, code: int, outcome: str) -> None:
    environment = {**os.environ, "CI": ci, "DOCKER_HOST": "unix:///nowhere", "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "tests/compose/test_compose_up.py", "-k", "desk"]

    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == code, done.stdout
    assert REASON in done.stdout
    assert outcome in done.stdout
