"""The desk calls routing as the person who is signed in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from simpul_agency.sandbox.process import free_port
from simpul_cli.keys import directory_file, key_file
from simpul_desk.access import Role, User
from simpul_desk.service_api import NotifyApi, RoutingApi, ServiceRefused, ServiceUnavailable
from simpul_dev.local_city import LocalCity
from simpul_runtime.signing import Keys
from simpul_seal import WatchedDirectory, WatchedKeyRing

USER = User(
    id=uuid4(),
    name="Wiji Rekaan",
    language="id",
    memberships={"ylpa": Role.RESPONDER},
    city_roles={Role.COORDINATOR: "uptd-ppa"},
)


@asynccontextmanager
async def routing_of(city: LocalCity, party: str = "desk", url: str = "") -> AsyncIterator[RoutingApi]:
    """The client with the keys of a party, while it runs."""
    keys = Keys(WatchedKeyRing(key_file(city.keys, party)), WatchedDirectory(directory_file(city.keys)))
    routing = RoutingApi(url or city.url("routing"), keys)
    running = asyncio.create_task(routing.run())
    await asyncio.sleep(0)
    yield routing
    running.cancel()
    await asyncio.wait([running])


async def test_routing_answers_the_person_in_their_role(city: LocalCity) -> None:
    async with routing_of(city) as routing:
        answer = await routing.get(USER.act_as(Role.COORDINATOR), "/cases", limit=2, state=None)

        assert isinstance(answer.content, dict)
        with pytest.raises(ServiceRefused) as refused:
            await routing.get(USER.act_in("ylpa"), "/indicators", first="2026-01", last="2026-01")
    assert (refused.value.status, refused.value.code) == (403, "role_not_permitted")
    assert set(refused.value.messages) == {"id", "en"}


async def test_a_case_that_does_not_exist_is_unknown_and_a_change_names_a_version(city: LocalCity) -> None:
    async with routing_of(city) as routing:
        with pytest.raises(ServiceRefused) as refused:
            await routing.call(
                USER.act_as(Role.COORDINATOR), "POST", f"/cases/{uuid4()}/close", {"end": "closed"}, version='"1"'
            )

    assert refused.value.is_unknown


async def test_without_the_keys_of_the_desk_nothing_is_read(city: LocalCity) -> None:
    async with routing_of(city, "notify") as routing:
        with pytest.raises(ServiceUnavailable):
            await routing.get(USER.act_as(Role.COORDINATOR), "/cases")


async def test_a_routing_that_does_not_answer_is_unavailable(city: LocalCity) -> None:
    async with routing_of(city, url=f"http://127.0.0.1:{free_port()}") as routing:
        with pytest.raises(ServiceUnavailable):
            await routing.get(USER.act_as(Role.COORDINATOR), "/cases")


async def test_before_the_service_runs_routing_is_unavailable(city: LocalCity) -> None:
    keys = Keys(WatchedKeyRing(key_file(city.keys, "desk")), WatchedDirectory(directory_file(city.keys)))

    with pytest.raises(ServiceUnavailable):
        await RoutingApi(city.url("routing"), keys).get(USER.act_as(Role.COORDINATOR), "/cases")


async def test_notify_answers_the_coordinator_with_the_report_of_reach(city: LocalCity) -> None:
    keys = Keys(WatchedKeyRing(key_file(city.keys, "desk")), WatchedDirectory(directory_file(city.keys)))
    notify = NotifyApi(city.url("notify"), keys)
    running = asyncio.create_task(notify.run())
    await asyncio.sleep(0)

    answer = await notify.get(USER.act_as(Role.COORDINATOR), "/reach", by="provider", month="2020-01")

    assert answer.content["columns"][:3] == ["month", "party", "events"]
    assert answer.content["rows"] == []
    running.cancel()
    await asyncio.wait([running])
