"""Reads the form by which an agency answers for services of a referral."""

from datetime import datetime
from typing import Any

from starlette.datastructures import FormData

from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, ReplyKind
from simpul_desk.hosting.agencies import OpenReferral
from simpul_desk.hosting.steps import may_reply, step_of
from simpul_desk.work_pages.texts import Problem


class FormProblem(Exception):
    """A form cannot be sent on; show it again with the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def read_command(given: FormData, found: OpenReferral, zone: Any) -> ReplyCommand:
    """Reads a form about the services of a referral; raises FormProblem."""
    kind = str(given.get("reply", ""))
    if kind == ReplyKind.WITHDRAWAL_ACKNOWLEDGED.value:
        return ReplyCommand(reply=ReplyKind.WITHDRAWAL_ACKNOWLEDGED)
    chosen = [str(one) for one in given.getlist("service_ids")]
    if not chosen:
        raise FormProblem(Problem.NOTHING_CHOSEN)
    fields: dict[str, Any] = {"reply": kind, "service_ids": chosen}
    if kind == ReplyKind.DECLINED.value:
        fields["reason"] = _require(given, "reason", Problem.REASON_MISSING)
    elif kind == ReplyKind.COMPLETED.value:
        fields["outcome"] = _require(given, "outcome", Problem.OUTCOME_MISSING)
    elif kind == ReplyKind.SCHEDULED.value:
        fields["scheduled_for"] = _read_time(_require(given, "scheduled_for", Problem.TIME_MISSING), zone)
    try:
        command = ReplyCommand.parse(fields)
    except InvalidReply as error:
        raise FormProblem(Problem.NOT_POSSIBLE) from error
    steps = {one.service_id: step_of(one) for one in found.view.services}
    if not all(may_reply(command.reply, steps.get(service_id)) for service_id in command.service_ids or ()):
        # Somebody else may have acted; the page shows where each service stands.
        raise FormProblem(Problem.NOT_POSSIBLE if given.get("version") == found.version else Problem.CHANGED)
    return command


def _require(given: FormData, name: str, problem: Problem) -> str:
    value = str(given.get(name, "")).strip()
    if not value:
        raise FormProblem(problem)
    return value


def _read_time(text: str, zone: Any) -> datetime:
    """Reads what a browser sends for a local time, such as 2026-12-01T09:00."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=zone)
    except ValueError as error:
        raise FormProblem(Problem.TIME_MISSING) from error
