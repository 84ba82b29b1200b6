"""`simpul agency` on a live broker, from an agency's enrolment to its removal."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aiormq.exceptions import AMQPError
from typer.testing import CliRunner

from simpul_agency.enrolment import EnrolmentRequest, make_certificate_request, make_keys, write_json
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_cli.app import app
from simpul_dev.backends import Backends
from simpul_seal import Directory

CODE = "satgas-kel-dermo"


@dataclass
class Operator:
    """The city's operator at the command line."""

    backends: Backends
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = self.folder / "directory.json"
        self.directory.write_text('{"keys": []}')

    def __call__(self, *arguments: str) -> tuple[int, str]:
        environment = {
            "SIMPUL_RABBITMQ_API": self.backends.rabbitmq_api,
            "SIMPUL_AMQP_URL": self.backends.amqp_url,
            "SIMPUL_DIRECTORY_FILE": str(self.directory),
            **self.environment,
        }
        done = CliRunner().invoke(app, list(arguments), env=environment)
        return done.exit_code, done.output

    def enrolment(self, name: str, agency: str = CODE, city: str = "kediri") -> Path:
        """The enrolment request of an agency."""
        _, keys = make_keys(agency, datetime.now(UTC))
        request = make_certificate_request(agency, self.folder / f"{name}.tls.key")
        path = self.folder / name
        write_json(path, EnrolmentRequest(city=city, agency=agency, keys=keys.to_json(), certificate_request=request))
        return path

    def shown_keys(self) -> list[dict[str, Any]]:
        """The agency's keys as `show` lists them."""
        found: list[dict[str, Any]] = json.loads(self("agency", "show", CODE, "--json")[1])["keys"]
        return found


@pytest.fixture
def operator(backends: Backends, tmp_path: Path) -> Iterator[Operator]:
    found = Operator(backends, tmp_path)
    found("agency", "remove", CODE)
    yield found
    found("agency", "remove", CODE)


def test_an_agency_is_added_once_and_what_it_needs_goes_into_one_file_of_its_own(operator: Operator) -> None:
    response, enrolment = operator.folder / "response.json", str(operator.enrolment("one"))
    add = ("agency", "add", CODE, "--enrolment", enrolment)
    would = operator(*add, "--dry-run")
    without = operator(*add)
    unknown = operator("agency", "add", CODE, "--to", str(response))
    added = operator(*add, "--to", str(response))
    again = operator(*add)
    lost = operator(*add, "--renew", "--to", str(response))

    assert (would[0], "missing, would become active, with a new password, its keys would be enrolled" in would[1]) == (
        0,
        True,
    )
    assert (without[0], "--to" in without[1]) == (2, True)
    assert (unknown[0], "has no valid keys" in unknown[1]) == (2, True)
    assert added[0] == again[0] == 0
    assert response.stat().st_mode & 0o077 == 0
    given = json.loads(response.read_text())
    assert given["amqp_url"].startswith(f"amqp://agency.{CODE}:")
    assert given["directory"] == json.loads(operator.directory.read_text())
    # Only the file contains the password.
    assert given["amqp_url"].split(":")[2].split("@")[0] not in added[1]
    assert (lost[0], "exists" in lost[1]) == (2, True)
    assert [key["valid"] for key in operator.shown_keys()] == [True]


def test_an_enrolment_of_somebody_else_or_with_another_key_id_is_refused(operator: Operator) -> None:
    other, elsewhere = operator.enrolment("other", agency="ylpa"), operator.enrolment("elsewhere", city="malang")
    stolen = operator.folder / "stolen"
    named = json.loads(operator.enrolment("mine").read_text())
    stolen.write_text(json.dumps(named | {"keys": named["keys"] | {"keyid": f"{CODE}.0000000000000000"}}))
    nothing = operator.folder / "nothing"
    nothing.write_text("{}")
    weak = operator.folder / "weak"
    # Thirty-two zero bytes: a point with which no secret can be agreed.
    weak.write_text(json.dumps(named | {"keys": named["keys"] | {"sealing": "A" * 43}}))

    for path in (other, elsewhere, stolen, nothing, weak):
        code, output = operator("agency", "add", CODE, "--enrolment", str(path), "--to", str(operator.folder / "w"))
        assert code == 2
        assert str(path) in output.replace("\n", "")
    assert Directory.read(operator.directory).entries == ()


def test_new_keys_count_at_once_and_the_old_ones_a_while(operator: Operator) -> None:
    operator("agency", "add", CODE, "--enrolment", str(operator.enrolment("one")), "--to", str(operator.folder / "w1"))
    rotate = ("agency", "rotate-key", CODE, "--enrolment", str(operator.enrolment("two")))
    would = operator(*rotate, "--to", str(operator.folder / "w2"), "--dry-run")
    assert (would[0], len(operator.shown_keys())) == (0, 1)
    rotated = operator(*rotate, "--to", str(operator.folder / "w2"))
    assert (rotated[0], [key["valid"] for key in operator.shown_keys()]) == (0, [True, True])
    assert "amqp_url" not in json.loads((operator.folder / "w2").read_text())
    again = operator(*rotate, "--to", str(operator.folder / "w3"))
    assert "already" in again[1]

    stolen = ("agency", "rotate-key", CODE, "--enrolment", str(operator.enrolment("three")), "--overlap-days", "0")
    assert operator(*stolen, "--to", str(operator.folder / "w4"))[0] == 0
    assert [key["valid"] for key in operator.shown_keys()] == [True, False, False]


def test_who_is_removed_has_no_keys_that_count(operator: Operator) -> None:
    operator("agency", "add", CODE, "--enrolment", str(operator.enrolment("one")), "--to", str(operator.folder / "w1"))
    would = operator("agency", "remove", CODE, "--dry-run")
    standing = operator("agency", "show", CODE)
    removed = operator("agency", "remove", CODE)
    ended = operator("agency", "add", CODE, "--enrolment", str(operator.folder / "one"), "--to", "nowhere")

    assert (would[0], "0 messages wait" in would[1]) == (0, True)
    assert (standing[0], "active" in standing[1]) == (0, True)
    assert removed[0] == 0
    assert (ended[0], "no valid keys" in ended[1]) == (2, True)
    assert [key["valid"] for key in operator.shown_keys()] == [False]


def test_the_list_shows_how_every_agency_stands(operator: Operator) -> None:
    operator("agency", "add", CODE, "--enrolment", str(operator.enrolment("one")), "--to", str(operator.folder / "w1"))
    active = operator("agency", "list")
    would = operator("agency", "suspend", CODE, "--dry-run")
    still = operator("agency", "list")
    suspended = operator("agency", "suspend", CODE)
    shown = operator("agency", "list")

    texts = (active[1], still[1], shown[1])
    lines = [next(line for line in text.splitlines() if CODE in line) for text in texts]
    assert ["suspended" in line for line in lines] == [False, False, True]
    assert would[0] == 0
    assert suspended == (0, f"{CODE}: suspended; `simpul agency add {CODE}` lets it work again\n")


def test_a_code_that_is_none_is_refused_with_those_that_are_near(operator: Operator) -> None:
    code, output = operator("agency", "suspend", "satgas-kel-bandar-lo")

    assert code == 2
    assert "satgas-kel-bandar-lor" in output


async def test_only_who_has_a_certificate_of_the_city_reaches_the_encrypted_port(operator: Operator) -> None:
    authority, stranger = operator.folder / "tls", operator.folder / "stranger"
    for folder in (authority, stranger):
        assert operator("tls", "init", str(folder), "--host", "localhost", "--host", "127.0.0.1")[0] == 0
    assert operator("tls", "init", str(authority), "--host", "localhost")[0] == 2
    broker = PrivateRabbit(authority)
    try:
        operator.environment = {
            "SIMPUL_RABBITMQ_API": broker.api_url,
            "SIMPUL_AMQP_URL": broker.amqp_url,
            "SIMPUL_AGENCY_BROKER": f"amqps://localhost:{broker.tls_port}/",
        }
        add = ("agency", "add", CODE, "--enrolment", str(operator.enrolment("one")))
        given = operator.folder / "response"
        added = await asyncio.to_thread(operator, *add, "--authority", str(authority), "--to", str(given))
        assert added[0] == 0
        response = json.loads(given.read_text())
        url = f"{response['amqp_url']}"
        own = _context(operator, response["authority"], response["certificate"], "one.tls.key")
        async with await aio_pika.connect(url, ssl_context=own) as connection:
            channel = await connection.channel()
            await channel.get_queue(f"agency.{CODE}.inbox", ensure=False)

        request = json.loads((operator.folder / "one").read_text())["certificate_request"]
        forged = _signed_by(stranger, request)
        for certificate, key in ((None, None), (forged, "one.tls.key")):
            with pytest.raises((AMQPError, OSError)):
                await aio_pika.connect(url, ssl_context=_context(operator, response["authority"], certificate, key))
        # Another city's authority does not vouch for this broker.
        elsewhere = _context(operator, (stranger / "authority.pem").read_text(), response["certificate"], "one.tls.key")
        with pytest.raises((AMQPError, OSError)):
            await aio_pika.connect(url, ssl_context=elsewhere)
    finally:
        broker.close()


def _signed_by(authority: Path, request: str) -> str:
    from simpul_cli.agency.certificates import Authority

    return Authority.read(authority).for_agency(CODE, request, datetime.now(UTC))


def _context(operator: Operator, authority: str, certificate: str | None, key: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority)
    if certificate and key:
        path = operator.folder / "certificate.pem"
        path.write_text(certificate)
        context.load_cert_chain(path, operator.folder / key)
    return context
