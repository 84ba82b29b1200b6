"""An agency on another machine creates its keys, is enrolled, receives over TLS, and later rotates its keys."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import pytest

from simpul_agency.sandbox.process import free_port
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_runtime.signing import Keys
from simpul_schema.names import REFERRALS
from simpul_seal import KeyRing, WatchedDirectory
from tests.integration.agency.conftest import Town
from tests.support.signing import message, signed

CODE = "ylpa"
BIN = Path(sys.executable).parent


@dataclass
class Country:
    """A city and an agency that exchange two files and nothing else."""

    city: Path
    agency: Path
    broker: PrivateRabbit

    def simpul(self, *arguments: str, expected: int = 0) -> str:
        """The city's operator at the command line."""
        environment = {
            "SIMPUL_RABBITMQ_API": self.broker.api_url,
            "SIMPUL_AMQP_URL": self.broker.amqp_url,
            "SIMPUL_DIRECTORY_FILE": str(self.city / "directory.json"),
            "SIMPUL_AUTHORITY_DIR": str(self.city / "tls"),
            "SIMPUL_AGENCY_BROKER": f"amqps://localhost:{self.broker.tls_port}/",
        }
        return self._run("simpul", arguments, Path.cwd(), environment, expected)

    def simpul_agency(self, *arguments: str, expected: int = 0, **environment: str) -> str:
        """The agency's engineer at the command line."""
        return self._run("simpul-agency", arguments, self.agency, environment, expected)

    def _run(
        self, name: str, arguments: tuple[str, ...], where: Path, environment: dict[str, str], expected: int
    ) -> str:
        done = subprocess.run(
            [str(BIN / name), *arguments],
            cwd=where,
            env={"PATH": os.environ["PATH"], "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    def admit(self) -> None:
        """Enrols the agency."""
        output = self.simpul_agency("init", CODE)
        enrolment = self.agency / f"{CODE}.enrolment-request.json"
        added = self.simpul("agency", "add", CODE, "--enrolment", str(enrolment), "--to", str(self.city / "response"))
        fingerprint = next(line for line in output.splitlines() if "phone" in line).partition(": ")[2]
        assert fingerprint in added
        self.simpul_agency("join", str(self.city / "response"))

    async def offer(self, town: Town) -> None:
        """Sends a referral as routing does, sealed to the agency's newest key."""
        async with await aio_pika.connect(self.broker.amqp_url) as connection:
            exchange = await (await connection.channel()).get_exchange(REFERRALS)
            event = town.offer()
            body, signature = signed(event, KeyRing.read(self.city / "keys" / "routing.key.json"))
            key = f"referral.{CODE}.legal_aid.low.offered.v1"
            await exchange.publish(message(body, signature), key)


@pytest.fixture
def country(tmp_path: Path) -> Iterator[Country]:
    city, agency = tmp_path / "city", tmp_path / "agency"
    agency.mkdir()
    subprocess.run([str(BIN / "simpul"), "tls", "init", str(city / "tls"), "--host", "localhost"], check=True)
    subprocess.run([str(BIN / "simpul"), "keys", "init", str(city / "keys")], check=True)
    shutil.copy(city / "keys" / "directory.json", city / "directory.json")
    broker = PrivateRabbit(city / "tls")
    yield Country(city, agency, broker)
    broker.close()


async def test_from_the_first_file_to_renewed_keys_without_a_restart_of_the_city(country: Country) -> None:
    routing = Keys(
        KeyRing.read(country.city / "keys" / "routing.key.json"), WatchedDirectory(country.city / "directory.json")
    )
    town = Town("", None, None, {}, routing.directory, country.agency)  # type: ignore[arg-type]
    await asyncio.to_thread(country.admit)
    await country.offer(town)
    well = await asyncio.to_thread(country.simpul_agency, "doctor")
    shown = await asyncio.to_thread(country.simpul_agency, "listen", "--limit", "1")
    assert "FAIL" not in well
    assert "certificate" in well
    assert "R-" in shown

    # A message sealed to the old key waits while the keys are rotated.
    await asyncio.to_thread(country.simpul_agency, "rotate-key")
    [rotation] = country.agency.glob(f"{CODE}.rotation-request-*.json")
    rotate = ("agency", "rotate-key", CODE, "--enrolment", str(rotation), "--to", str(country.city / "renewed"))
    await asyncio.to_thread(country.simpul, *rotate)
    old = json.loads((country.agency / "agency.key.json").read_text())["keyid"]
    joined = await asyncio.to_thread(country.simpul_agency, "join", str(country.city / "renewed"))
    new = json.loads((country.agency / "agency.key.json").read_text())["keyid"]
    await country.offer(town)
    shown = await asyncio.to_thread(country.simpul_agency, "listen", "--limit", "2")

    assert "new keys sign" in joined
    assert old != new
    assert shown.count("referral.offered.v1") == 2
    assert "not usable" not in shown
    assert not (country.agency / "agency.next.key.json").exists()
    assert "FAIL" not in await asyncio.to_thread(country.simpul_agency, "doctor")


async def test_what_does_not_fit_is_refused_with_what_to_do(country: Country) -> None:
    await asyncio.to_thread(country.admit)
    again = await asyncio.to_thread(lambda: country.simpul_agency("init", CODE, expected=2))
    response = json.loads((country.city / "response").read_text())
    (country.agency / "other").write_text(json.dumps(response | {"directory": {"keys": []}}))
    (country.agency / "nothing").write_text("{}")
    (country.agency / "misdirected").write_text(json.dumps(response | {"agency": "polres-ppa"}))
    misdirected = await asyncio.to_thread(lambda: country.simpul_agency("join", "misdirected", expected=2))
    settings = (country.agency / "simpul-agency.env").read_text()
    own = settings.replace("sqlite:///", "postgresql://theirs/")
    (country.agency / "simpul-agency.env").write_text(own)
    (country.agency / "response-again").write_text((country.city / "response").read_text())
    await asyncio.to_thread(country.simpul_agency, "join", "response-again")
    assert "postgresql://theirs/" in (country.agency / "simpul-agency.env").read_text()
    assert 'CODE="polres-ppa"' not in (country.agency / "simpul-agency.env").read_text()
    assert "this file is for polres-ppa" in misdirected
    (country.agency / "simpul-agency.env").write_text(settings)
    stranger = await asyncio.to_thread(lambda: country.simpul_agency("join", "other", expected=2))
    nothing = await asyncio.to_thread(lambda: country.simpul_agency("join", "nothing", expected=2))
    without = {"SIMPUL_AGENCY_CERTIFICATE_FILE": "", "SIMPUL_AGENCY_CERTIFICATE_KEY_FILE": ""}
    naked = await asyncio.to_thread(lambda: country.simpul_agency("doctor", expected=1, **without))
    elsewhere = {"SIMPUL_AGENCY_AMQP_URL": f"amqps://agency.ylpa:x@localhost:{free_port()}/"}
    nowhere = await asyncio.to_thread(lambda: country.simpul_agency("doctor", expected=1, **elsewhere))

    assert "never replaced" in again
    assert "does not have these keys" in stranger
    assert "is not an enrolment response" in nothing
    assert "FAIL" in naked
    assert "no connection" in nowhere
    for name in ("agency.key.json", "tls.key", "simpul-agency.env"):
        assert (country.agency / name).stat().st_mode & 0o077 == 0
