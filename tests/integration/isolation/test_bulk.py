"""All requests of a folder are enrolled at once, and a broker that lost its users gets the same ones again."""

import shutil
from pathlib import Path

import aio_pika
import pytest
from aio_pika.exceptions import AMQPError

from simpul_agency.broker_api import BrokerApi
from simpul_agency.command.files import AgencyFiles
from simpul_agency.enrolment import EnrolmentResponse
from simpul_city import City
from simpul_cli.agency import accounts
from simpul_cli.agency.bulk import RESPONSE, Broker, connect_all, enrol_all, requests_in
from simpul_cli.agency.certificates import Authority
from simpul_cli.city_topology import build_agency_user
from simpul_dev.backends import Backends
from simpul_runtime.database import utc_now
from simpul_schema.names import agency_inbox
from simpul_seal import Directory

CITY = City.read(Path(__file__).parents[3] / "deploy" / "kediri")
CODES = ("satgas-kel-gayam", "satgas-kel-dandangan", "satgas-kel-tamanan")
LATE = "satgas-kel-betet"


@pytest.fixture
def enrolment(tmp_path: Path) -> Path:
    folder = tmp_path / "enrolment"
    folder.mkdir()
    for code in (*CODES, LATE):
        request, _ = AgencyFiles(tmp_path / code).create_keys(CITY.code, code, utc_now())
        shutil.copy(request, folder)
    return folder


async def can_consume(url: str, code: str) -> bool:
    try:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.get_queue(agency_inbox(code))
    except AMQPError:
        return False
    return True


async def test_a_folder_is_connected_and_a_lost_user_comes_back_with_its_password(
    backends: Backends, enrolment: Path, tmp_path: Path
) -> None:
    authority = Authority.create("Kediri", utc_now())
    async with BrokerApi(backends.rabbitmq_api) as api:
        # Another test on this broker may have connected every agency of the city.
        connected = {user["name"] for user in await api.call("GET", "users")}
        for user in connected & {build_agency_user(code).name for code in (*CODES, LATE)}:
            await api.call("DELETE", "users", user)
    broker = Broker(backends.rabbitmq_api, backends.amqp_url)
    requests = [request for request in requests_in(enrolment, CITY, Directory([])) if request.agency in CODES]
    directory = enrol_all(Directory([]), requests, utc_now())

    async def connect() -> list[str]:
        return await connect_all(enrolment, CITY, directory, broker, authority, utc_now())

    first, second = await connect(), await connect()
    responses = {
        code: EnrolmentResponse.model_validate_json((enrolment / f"{code}{RESPONSE}").read_text()) for code in CODES
    }
    urls = {code: found.amqp_url.get_secret_value() for code, found in responses.items() if found.amqp_url}
    worked = [await can_consume(url, code) for code, url in urls.items()]
    async with BrokerApi(backends.rabbitmq_api) as api:
        await accounts.suspend(api, CODES[0])
        await api.call("DELETE", "users", build_agency_user(CODES[1]).name)
        lost = await can_consume(urls[CODES[1]], CODES[1])
        third = await connect()
        states = [(await accounts.standing_of(api, code)).state for code in (*CODES, LATE)]

    assert sorted(first) == sorted(CODES)
    assert (second, third) == ([], [])
    assert worked == [True, True, True]
    assert not lost
    assert await can_consume(urls[CODES[1]], CODES[1])
    active, missing = accounts.State.ACTIVE, accounts.State.MISSING
    assert states == [accounts.State.SUSPENDED, active, active, missing]
    for code in CODES:
        AgencyFiles(tmp_path / code).apply_response(responses[code])
    assert (enrolment / "broker-accounts.json").stat().st_mode & 0o077 == 0
