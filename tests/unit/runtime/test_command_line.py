import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from simpul_runtime.settings import ServiceSettings

pytestmark = pytest.mark.slow

SERVICES = sorted(path.parent.name for path in (Path(__file__).parents[3] / "services").glob("*/pyproject.toml"))
BARE = {"PATH": os.defpath}


def _start(service: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", f"simpul_{service}", *arguments]
    return subprocess.run(command, env=BARE | environment, capture_output=True, text=True, check=False, timeout=60)


def _settings(service: str) -> type[ServiceSettings]:
    found: type[ServiceSettings] = getattr(import_module(f"simpul_{service}.settings"), f"{service.title()}Settings")
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_help_of_a_service_names_and_describes_every_setting(service: str) -> None:
    done = _start(service, "--help")

    assert done.returncode == 0, done.stderr
    shown = " ".join(done.stdout.split())
    for name, field in _settings(service).model_fields.items():
        assert field.description
        presence = "(required)" if field.is_required() else "("
        assert f"SIMPUL_{name.upper()} {presence}" in shown
        assert field.description in shown


def test_missing_and_wrong_settings_are_named_and_no_value_is_shown() -> None:
    password = "postgresql://simpul:a-password@host/intake"

    done = _start("intake", SIMPUL_DATABASE_URL=password, SIMPUL_HTTP_PORT="a-password")

    assert done.returncode == 2
    assert "SIMPUL_AMQP_URL: Field required" in done.stderr
    assert "SIMPUL_HTTP_PORT: " in done.stderr
    assert "SIMPUL_DATABASE_URL" not in done.stderr
    assert "a-password" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_argument_that_no_service_has_is_refused() -> None:
    done = _start("desk", "--port", "8000")

    assert (done.returncode, "--port" in done.stderr) == (2, True)


def test_settings_that_need_one_another_are_explained(tmp_path: Path) -> None:
    given = {f"SIMPUL_{name}_FILE": str(tmp_path) for name in ("KEY", "DIRECTORY")}

    done = _start(
        "intake", SIMPUL_DATABASE_URL="postgresql://", SIMPUL_AMQP_URL="amqp://", SIMPUL_CITY_DIR=str(tmp_path), **given
    )

    assert (done.returncode, "set SIMPUL_VAULT_KEY_FILE or SIMPUL_VAULT_TRANSIT_URL" in done.stderr) == (2, True)
