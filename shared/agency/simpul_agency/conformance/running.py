"""Runs the cases one after the other against one consumer, on a broker of its own."""

import asyncio
import secrets
import shlex
import time
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Optional

from rich.console import Console

from simpul_agency.broker_api import BrokerApi
from simpul_agency.conformance.case import CASES, Case
from simpul_agency.conformance.cases import answering  # noqa: F401 - the package's import fills CASES
from simpul_agency.conformance.report import Outcome, Verdict
from simpul_agency.conformance.trial import Failed, Trial
from simpul_agency.sandbox.city import SimulatedCity, utc_now
from simpul_agency.sandbox.rabbitmq import PrivateRabbit
from simpul_schema.names import broker_user

CASE_WITHIN = 180.0
"""Seconds for one case, whatever it waits for."""


async def run_cases(
    command: Sequence[str], only: Collection[str], console: Console, broker: Optional[PrivateRabbit] = None
) -> Outcome:
    """Start a broker unless one is given, a city and the consumer, and run all cases, or those that are named."""
    chosen = sorted((one for one in CASES if not only or one.name in only), key=lambda one: one.is_last)
    async with AsyncExitStack() as ending:
        if broker is None:
            console.print("starting a private broker ...", style="dim")
            broker = PrivateRabbit()
            ending.callback(broker.close)
        folder = Path(ending.enter_context(TemporaryDirectory(prefix="simpul-conform-")))
        # An account's name holds for the whole broker, so each trial has one of its own.
        vhost = f"trial-{secrets.token_hex(4)}"
        api = await ending.enter_async_context(BrokerApi(broker.api_url, vhost))
        await api.call("PUT", "vhosts", "{vhost}")
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await api.call("PUT", "permissions", "{vhost}", "guest", body=everything)
        city = SimulatedCity(broker.url_of(vhost), api, vhost)
        await city.open()
        trial = Trial(city, broker, command, folder, city.write_files(folder, await city.admit()))
        try:
            verdicts = [await _run(case, trial, console) for case in chosen]
        finally:
            await trial.kill()
            await city.close()
            await api.call("DELETE", "vhosts", "{vhost}")
            await api.call("DELETE", "users", broker_user(city.agency))
        outcome = Outcome(shlex.join(command), city.agency, utc_now(), tuple(verdicts), is_whole=not only)
    failed = sum(not verdict.passed for verdict in verdicts)
    console.print(f"{len(verdicts) - failed} of {len(verdicts)} cases passed", style="red" if failed else "green")
    return outcome


async def _run(case: Case, trial: Trial, console: Console) -> Verdict:
    city = trial.city
    sent_before, heard_before, started = len(city.published), len(city.heard), time.monotonic()
    reason = ""
    try:
        if not trial.is_running:
            await trial.start()
        await asyncio.wait_for(case.run(trial), CASE_WITHIN)
    except Failed as error:
        reason = str(error)
    except asyncio.TimeoutError:
        reason = f"the case did not end within {CASE_WITHIN:.0f} s, or the broker did not answer in it"
    except Exception as error:
        reason = f"the case could not be carried out: {type(error).__name__}: {error}"
    if reason:
        # What one case left behind must not make the next one fail.
        await trial.kill()
        await city.empty()
    verdict = Verdict(
        case.name, case.requirement, reason, time.monotonic() - started, tuple(city.published[sent_before:]),
        tuple(city.heard[heard_before:]), trial.log_tail if reason else "",
    )  # fmt: skip
    mark = "[green]pass[/]" if verdict.passed else "[red]FAIL[/]"
    console.print(f"{mark} {case.name} [dim]{verdict.seconds:.1f} s[/]")
    if reason:
        console.print(f"     {reason}", style="red", markup=False, highlight=False)
    return verdict
