"""A message as signed JSON, and a provider that a city adds without touching ours."""

import base64
import hmac
import json
import sys
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from aiohttp import web

from simpul_notify.channels import OutgoingMessage, load_providers
from simpul_notify.channels.webhook import Webhook
from simpul_notify.domain.alerts import Outcome
from simpul_notify.domain.deliveries import DeliveryState, Problem
from simpul_notify.domain.notifications import AlertText
from simpul_notify.errors import ProviderInvalid
from simpul_schema.vocabulary import AlertChannel

SECRET = "only-for-this-test"


class Receiver:
    """A system of the city that takes messages."""

    def __init__(self) -> None:
        self.status = 200
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    taking = Receiver()
    app = web.Application()
    app.router.add_post("/", taking.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    taking.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield taking
    await runner.cleanup()


def a_message() -> OutgoingMessage:
    return OutgoingMessage(uuid4(), "+6283400111006", AlertText("", "Simpul: R-7K3Q2M"), "http://notify:8000/gateway/x")


async def test_a_message_is_signed_and_whole(receiver: Receiver) -> None:
    webhook, message = Webhook(receiver.url, SECRET, AlertChannel.SMS, 5), a_message()

    attempt = await webhook.send(message)
    await webhook.close()

    assert attempt.outcome is Outcome.ACCEPTED
    [(headers, body)] = receiver.requests
    signed = f"{message.notification_id}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(SECRET.encode(), signed, sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body) == {
        "id": str(message.notification_id),
        "to": message.address,
        "subject": "",
        "text": message.text.body,
        "report_url": message.report_url,
    }


@pytest.mark.parametrize(
    ("status", "outcome", "problem"),
    [
        (302, Outcome.REJECTED_TEMPORARILY, Problem.BUSY),
        (401, Outcome.REJECTED_TEMPORARILY, Problem.WRONG_CREDENTIALS),
        (410, Outcome.REJECTED_PERMANENTLY, Problem.REFUSED), (503, Outcome.REJECTED_TEMPORARILY, Problem.BUSY),
    ],
)  # fmt: skip
async def test_an_answer_says_whether_it_is_worth_another_attempt(
    receiver: Receiver, status: int, outcome: Outcome, problem: Problem
) -> None:
    receiver.status = status
    webhook = Webhook(receiver.url, SECRET, AlertChannel.SMS, 5)

    attempt = await webhook.send(a_message())
    await webhook.close()

    assert (attempt.outcome, attempt.problem) == (outcome, problem)


@pytest.mark.parametrize(
    ("body", "state"),
    [(b'{"state": "on_handset"}', DeliveryState.ON_HANDSET), (b'{"state": "x"}', None), (b"[]", None), (b"{", None)],
)
def test_a_report_is_read(body: bytes, state: DeliveryState | None) -> None:
    assert Webhook("https://x.example", SECRET, AlertChannel.SMS, 5).parse_report({}, body) is state


def test_a_city_adds_a_provider_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "city_pager.py").write_text(
        "from simpul_notify.domain.deliveries import ACCEPTED, Capabilities\n"
        "from simpul_schema.vocabulary import AlertChannel\n"
        "class Pager:\n"
        "    capabilities = Capabilities(AlertChannel.SMS)\n"
        "    def __init__(self, name, prefix): self.name, self.prefix = name, prefix\n"
        "    async def send(self, message): return ACCEPTED\n"
        "    async def close(self): pass\n"
    )
    described = tmp_path / "city_pager-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: city-pager\nVersion: 1\n")
    (described / "entry_points.txt").write_text("[simpul.notify_providers]\npager = city_pager:Pager\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "city_pager", raising=False)

    first, second = load_providers(["pager", "pager/night-shift"])

    assert (first.name, second.name) == ("pager", "pager/night-shift")
    assert [vars(each)["prefix"] for each in (first, second)] == ["SIMPUL_PAGER_", "SIMPUL_PAGER_NIGHT_SHIFT_"]


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["pigeon"], "names pigeon, which is not installed; there are apprise, gammu, kannel, smtp, webhook"),
        (["kannel", "kannel"], "names a provider twice"),
        (["webhook"], r"provider webhook with settings SIMPUL_WEBHOOK_…: url: Field required; secret: Field required"),
    ],
)
def test_a_provider_that_cannot_be_used_is_named(names: list[str], complaint: str) -> None:
    with pytest.raises(ProviderInvalid, match=complaint):
        load_providers(names)


def test_a_refused_setting_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIMPUL_WEBHOOK_URL", "http://user:password@x.example")
    monkeypatch.setenv("SIMPUL_WEBHOOK_SECRET", "x")

    with pytest.raises(ProviderInvalid) as refused:
        load_providers(["webhook"])

    assert "password" not in str(refused.value)
