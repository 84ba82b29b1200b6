import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_cli.app import app
from simpul_cli.prepare import BROKER_ACCOUNT, SERVICE_ACCOUNT
from simpul_seal import Directory

ROOT = Path(__file__).parents[3]
OPEN = "KANNEL_URL, KANNEL_USER, KANNEL_PASSWORD, SMTP_HOST, SMTP_USER, SMTP_PASSWORD, MAIL_FROM"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/.env.example").write_text((ROOT / "deploy/.env.example").read_text())
    return tmp_path


def _prepare(checkout: Path) -> tuple[int, str]:
    arguments = ["prepare", "--host", "broker.kota.example", "--root", str(checkout)]
    done = CliRunner().invoke(app, [*arguments, "--city-dir", str(ROOT / "deploy/kediri")])
    return done.exit_code, done.output


def _contents(checkout: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}


def test_everything_that_compose_mounts_is_made_once_and_never_replaced(checkout: Path) -> None:
    code, output = _prepare(checkout)
    made = _contents(checkout)
    again = _prepare(checkout)

    assert (code, again[0]) == (0, 0), output
    assert output.count(": made") == again[1].count(": kept") == 3
    assert _contents(checkout) == made
    entries = Directory.read(checkout / "deploy/directory/directory.json").entries
    assert {entry.party for entry in entries} == {"intake", "routing", "notify", "desk"}


def test_every_password_is_random_and_what_only_the_city_knows_is_named(checkout: Path) -> None:
    _, output = _prepare(checkout)
    lines = (checkout / ".env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    random = [name for name in settings if name.startswith(("POSTGRES_", "RABBITMQ_PASSWORD", "ROUTING_"))]

    assert len(random) == 11
    assert len({settings[name] for name in random}) == 11
    assert all(settings[name].isalnum() and len(settings[name]) == 48 for name in random)
    assert settings["AGENCY_BROKER"] == "amqps://broker.kota.example:5671/"
    assert settings["OPERATOR_UID"] == str(os.getuid())
    assert f"fill in {OPEN} in" in output
    assert not any(settings[name] in output for name in random)


def test_private_files_are_readable_by_the_account_in_the_container_alone(checkout: Path) -> None:
    _, output = _prepare(checkout)
    keys = sorted((checkout / "deploy/secrets").iterdir())
    broker_key = checkout / "deploy/tls/broker/broker.key"

    assert len(keys) == 5
    assert all(path.stat().st_mode & 0o077 == 0 for path in (*keys, broker_key, checkout / ".env"))
    if os.geteuid() == 0:
        assert {path.stat().st_uid for path in keys} == {SERVICE_ACCOUNT}
        assert broker_key.stat().st_uid == BROKER_ACCOUNT
    else:
        assert f"sudo chown {SERVICE_ACCOUNT}" in output


def test_a_lost_key_is_named_and_not_made_anew(checkout: Path) -> None:
    _prepare(checkout)
    (checkout / "deploy/secrets/vault.key").unlink()
    before = _contents(checkout)

    code, output = _prepare(checkout)

    assert code == 2
    assert "vault.key missing" in output
    assert _contents(checkout) == before


@pytest.mark.parametrize("host", ["amqps://broker.kota.example:5671/", "broker kota", "", "-broker"])
def test_what_is_not_a_host_name_prepares_nothing(tmp_path: Path, host: str) -> None:
    done = CliRunner().invoke(app, ["prepare", "--host", host, "--root", str(tmp_path)])

    assert done.exit_code == 2
    assert "without scheme and port" in done.output
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_never_written_into_another_kind_of_file(tmp_path: Path) -> None:
    directory, tokens = tmp_path / "directory.json", tmp_path / "new" / "tokens.json"
    directory.write_text('{"keys": [{"party": "ylpa"}]}')

    refused = CliRunner().invoke(app, ["centre", "add-token", "ylpa", "--file", str(directory)])
    issued = CliRunner().invoke(app, ["centre", "add-token", "ylpa", "--file", str(tokens)])

    assert (refused.exit_code, issued.exit_code) == (2, 0)
    assert directory.read_text() == '{"keys": [{"party": "ylpa"}]}'
    assert json.loads(tokens.read_text()).keys() == {"ylpa"}
