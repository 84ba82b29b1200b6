"""Runs the cases one after another against one consumer."""

import asyncio
import secrets
import shlex
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Optional

from rich.console import Console
from rich.text import Text

from simpul_agency.broker_api import BrokerApi
from simpul_agency.conformance.case import CASES, Case
from simpul_agency.conformance.cases import answers  # noqa: F401 - the package's import fills CASES
from simpul_agency.conformance.report import Outcome, Verdict
from simpul_agency.conformance.trial import CaseFailed, Trial
from simpul_agency.sandbox.city import SimulatedCity
from simpul_agency.sandbox.events import utc_now
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_schema.names import broker_user

CASE_TIMEOUT: Final = 180.0
"""Seconds that one case may take."""


async def run_cases(
    command: Sequence[str], only: Collection[str], console: Console, broker: Optional[PrivateRabbit] = None
) -> Outcome:
    """Starts a city and the consumer, and a broker unless one is given; runs the named cases, or all."""
    chosen = sorted((one for one in CASES if not only or one.name in only), key=lambda one: one.is_last)
    async with AsyncExitStack() as stack:
        if broker is None:
            console.print("starting a private broker ...", style="dim")
            broker = PrivateRabbit()
            stack.callback(broker.close)
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="simpul-conform-")))
        # Broker users exist once per broker, so each trial has an agency code of its own.
        vhost = f"trial-{secrets.token_hex(4)}"
        api = await stack.enter_async_context(BrokerApi(broker.api_url, vhost))
        await api.call("PUT", "vhosts", "{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.call("PUT", "permissions", "{vhost}", "guest", body=everything)
        city = SimulatedCity(broker.url_of(vhost), api, vhost)
        await city.open()
        trial = Trial(city, broker, command, folder, city.write_files(folder, await city.broker.create_user()))
        try:
            verdicts = [await _run(case, trial, console) for case in chosen]
        finally:
            await trial.kill()
            await city.close()
            await api.call("DELETE", "vhosts", "{vhost}")
            await api.call("DELETE", "users", broker_user(city.agency))
        outcome = Outcome(shlex.join(command), city.agency, utc_now(), tuple(verdicts), is_complete=not only)
    failed = sum(not verdict.passed for verdict in verdicts)
    console.print(f"{len(verdicts) - failed} of {len(verdicts)} cases passed", style="red" if failed else "green")
    return outcome


async def _run(case: Case, trial: Trial, console: Console) -> Verdict:
    city = trial.city
    sent_before, received_before, started = len(city.published), len(city.reply_log.replies), time.monotonic()
    reason = ""
    try:
        if not trial.is_running:
            await trial.start()
        await asyncio.wait_for(case.run(trial), CASE_TIMEOUT)
    except CaseFailed as error:
        reason = str(error)
    except asyncio.TimeoutError:
        reason = f"the case did not end within {CASE_TIMEOUT:.0f} s, or the broker did not answer in that time"
    except Exception as error:
        reason = f"the case could not be run: {type(error).__name__}: {error}"
    if reason:
        # Messages that one case leaves must not make the next one fail.
        await trial.kill()
        await city.broker.purge_queues()
    verdict = Verdict(
        case.name,
        case.requirement,
        reason,
        time.monotonic() - started,
        tuple(city.published[sent_before:]),
        tuple(city.reply_log.replies[received_before:]),
        trial.log_tail if reason else "",
    )
    mark = ("pass", "green") if verdict.passed else ("FAIL", "red")
    console.print(Text.assemble(mark, f" {case.name} ", (f"{verdict.seconds:.1f} s", "dim")))
    if reason:
        console.print(f"     {reason}", style="red", markup=False, highlight=False)
    return verdict
