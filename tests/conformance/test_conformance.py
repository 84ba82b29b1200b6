"""The conformance kit passes three correct consumers and fails every broken one."""

import asyncio
import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from simpul_agency.command.app import app
from simpul_agency.conformance import CASES, Outcome, run_cases, trial
from simpul_agency.conformance.cases import gaps
from simpul_agency.sandbox.broker import broker_permissions, topic_permissions
from simpul_agency.sandbox.city import SimulatedCity
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_cli.city_topology import build_agency_user, build_topology
from tests.conformance.broken import BROKEN
from tests.support.debian import need

AGENCY = Path(__file__).parents[2] / "deploy" / "agency"
AT_ONCE = 4
"""Trials that run together; they mostly wait."""


def run(command: list[str], only: list[str], broker: PrivateRabbit | None = None) -> "asyncio.Future[Outcome]":
    return asyncio.ensure_future(run_cases(command, only, Console(file=StringIO(), width=200), broker))


@pytest.fixture(scope="module")
def node_consumer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Node consumer with its libraries."""
    need(("node", "npm"), ("nodejs", "npm"))
    folder = tmp_path_factory.mktemp("node-consumer")
    for name in ("consumer.mjs", "package.json"):
        shutil.copy(AGENCY / "node" / name, folder)
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(install, cwd=folder, check=True, timeout=170)
    return folder / "consumer.mjs"


@pytest.mark.timeout(600)
async def test_the_three_reference_consumers_conform(node_consumer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Three trials at once on a busy machine take long to answer; an agency's single one does not.
    for limit in ("REPLY_TIMEOUT", "START_TIMEOUT", "STOP_TIMEOUT"):
        monkeypatch.setattr(trial, limit, 120.0)
    outcomes = await asyncio.gather(
        run([sys.executable, str(AGENCY / "python-kit" / "consumer.py")], []),
        run([sys.executable, str(AGENCY / "python-plain" / "consumer.py")], []),
        run(["node", str(node_consumer)], []),
    )

    for outcome in outcomes:
        assert [(verdict.name, verdict.reason) for verdict in outcome.verdicts if not verdict.passed] == []
        assert len(outcome.verdicts) == len(CASES)


def test_the_three_share_no_code() -> None:
    plain, node = (AGENCY / "python-plain" / "consumer.py").read_text(), (AGENCY / "node" / "consumer.mjs").read_text()

    assert "import simpul" not in plain
    assert "from simpul" not in plain
    assert "simpul_" not in node


def test_there_are_enough_cases_and_broken_consumers() -> None:
    assert len(CASES) >= 30
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.requirement for case in CASES)
    assert len(BROKEN) >= 15


@pytest.fixture(scope="module")
def broker() -> Iterator[PrivateRabbit]:
    found = PrivateRabbit()
    yield found
    found.close()


@pytest.fixture(scope="module")
def outcomes(broker: PrivateRabbit, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """Every broken consumer in the case that must notice it; they fail by not answering, so the waits are short."""
    folder, limit = tmp_path_factory.mktemp("broken"), asyncio.Semaphore(AT_ONCE)

    async def one(name: str, path: Path, case: str) -> tuple[str, Outcome]:
        async with limit:
            return name, await run([sys.executable, str(path)], [case], broker)

    async def all_of_them() -> dict[str, Outcome]:
        return dict(await asyncio.gather(*(one(b.name, b.write(folder), b.case) for b in BROKEN)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "REPLY_TIMEOUT", 5.0)
        patch.setattr(gaps, "RESEND_TIMEOUT", 6.0)
        patch.setattr("simpul_agency.conformance.cases.outages.RECONNECT_TIMEOUT", 8.0)
        return asyncio.run(all_of_them())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("broken", BROKEN, ids=[broken.name for broken in BROKEN])
def test_a_broken_consumer_fails_its_case(broken: object, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[broken.name]  # type: ignore[attr-defined]

    [verdict] = outcome.verdicts
    assert not verdict.passed
    assert not outcome.conforms
    # Not because it did not even start.
    assert "instead of receiving" not in verdict.reason
    assert verdict.sent or verdict.name == "prefetch_is_bounded"


def test_the_report_holds_the_reason_and_the_bytes_that_reproduce_it(
    outcomes: dict[str, Outcome], tmp_path: Path
) -> None:
    outcome = outcomes["accepts_unsigned_messages"]

    machine, page = outcome.write(tmp_path / "report")

    [case] = json.loads(machine.read_text())["cases"]
    assert not case["passed"]
    assert "no signature" in case["reason"]
    sent = [json.loads(base64.b64decode(one["body_base64"])) for one in case["sent"]]
    assert any("signature" not in event for event in sent)
    assert base64.b64decode(case["received"][0]["body_base64"]).startswith(b"{")
    assert "Does not conform" in page.read_text()


async def test_a_case_that_cannot_be_carried_out_is_not_passed(
    broker: PrivateRabbit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_answer(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(SimulatedCity, "publish", no_answer)
    consumer = [sys.executable, str(AGENCY / "python-plain" / "consumer.py")]

    outcome = await run(consumer, ["offer_is_answered"], broker)

    assert not outcome.conforms


def test_the_cases_are_listed_and_an_unknown_name_is_refused() -> None:
    listed = CliRunner().invoke(app, ["conform", "x", "--list"])
    wrong = CliRunner().invoke(app, ["conform", "x", "--only", "nonsense"])

    assert listed.exit_code == 0
    assert all(case.name in listed.output for case in CASES)
    assert (wrong.exit_code, "--list" in wrong.output) == (2, True)


def test_the_simulated_city_declares_what_a_city_declares() -> None:
    account, topology = build_agency_user("ylpa"), build_topology(["ylpa"])

    assert broker_permissions("ylpa") == {"configure": account.configure, "write": account.write, "read": account.read}
    assert topic_permissions("ylpa") == account.topics
    [inbox] = [queue for queue in topology.queues if queue.name == "agency.ylpa.inbox"]
    assert inbox.bindings == (("simpul.referrals", "referral.ylpa.#"), ("simpul.referrals", "agency.ylpa.#"))
