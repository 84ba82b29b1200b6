"""A command whose database or broker is away ends with one sentence and an exit code, and shows no password."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from simpul_agency.sandbox.process import free_port
from simpul_cli.app import app
from simpul_cli.servers import UNAVAILABLE, hosts_of

KEDIRI = str(Path(__file__).parents[3] / "deploy" / "kediri")
PASSWORD = "not-to-be-shown"
DATABASE_COMMANDS = (("migrate", "intake"), ("parked", "list"), ("parked", "replay", "all"))
BROKER_COMMANDS = (
    ("topology", "apply", "--city-dir", KEDIRI), ("topology", "verify", "--city-dir", KEDIRI), ("topology", "resend"),
    ("agency", "list", "--city-dir", KEDIRI), ("agency", "suspend", "ylpa", "--city-dir", KEDIRI),
)  # fmt: skip


def run(*arguments: str, host: str) -> tuple[int, str]:
    at = f"simpul:{PASSWORD}@{host}"
    environment = {
        "SIMPUL_DATABASE_URL": f"postgresql://{at}/simpul_intake",
        "SIMPUL_RABBITMQ_API": f"http://{at}",
        "SIMPUL_AMQP_URL": f"amqp://{at}/",
    }
    ended = CliRunner().invoke(app, arguments, env=environment)
    assert isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


@pytest.mark.parametrize("arguments", [*DATABASE_COMMANDS, *BROKER_COMMANDS], ids=" ".join)
def test_a_server_that_does_not_answer_is_named_in_one_line(arguments: tuple[str, ...]) -> None:
    host = f"127.0.0.1:{free_port()}"

    code, output = run(*arguments, host=host)

    assert code == UNAVAILABLE
    assert output.count("\n") == 1
    assert host in output
    assert "does not answer" in output
    assert PASSWORD not in output


@pytest.mark.parametrize("arguments", [*DATABASE_COMMANDS, *BROKER_COMMANDS], ids=" ".join)
def test_a_host_that_does_not_exist_is_named_in_one_line(arguments: tuple[str, ...]) -> None:
    code, output = run(*arguments, host="nowhere.invalid:1")

    assert code == UNAVAILABLE
    assert output.count("\n") == 1
    assert "nowhere.invalid" in output


def test_the_client_of_the_broker_adds_no_line_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    run("topology", "resend", host=f"127.0.0.1:{free_port()}")

    assert caplog.records == []


@pytest.mark.parametrize("address", ["", "somewhere", "postgresql:///simpul"])
def test_an_address_without_a_host_is_a_wrong_argument(address: str) -> None:
    ended = CliRunner().invoke(app, ["migrate", "intake", "--database-url", address])

    assert ended.exit_code == 2
    assert "has no host" in ended.output


def test_the_hosts_of_a_cluster_are_named_without_a_login() -> None:
    query = "host=one,two&port=5432,5433&target_session_attrs=read-write"

    assert hosts_of(f"postgresql://simpul:{PASSWORD}@/simpul_intake?{query}") == "one,two"
    assert hosts_of(f"amqp://simpul:{PASSWORD}@one:5672/,amqp://simpul:{PASSWORD}@two:5672/") == "one:5672"
    assert hosts_of("postgresql:///simpul_intake") == ""
