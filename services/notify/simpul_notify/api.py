"""What gateways call: delivery reports and replies. An address without its secret does not exist."""

from collections.abc import Sequence
from secrets import compare_digest
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.exceptions import HTTPException

from simpul_notify.channels import Provider, ReportingProvider, TwoWayProvider
from simpul_notify.use_cases import RecordAnswers, RecordReports
from simpul_notify.use_cases.dispatch import REPORTS_PATH

REPLIES_PATH: Final = "/gateway/replies"
"""Where gateways deliver replies; the rest of the path is the gateway's token and the provider's name."""
_TAG: Final = "gateways"


def add_gateway_routes(
    web: FastAPI, providers: Sequence[Provider], record_reports: RecordReports, record_answers: RecordAnswers
) -> None:
    """Adds the addresses of these providers."""
    reporting = {provider.name: provider for provider in providers if isinstance(provider, ReportingProvider)}
    two_way = {provider.name: provider for provider in providers if isinstance(provider, TwoWayProvider)}

    @web.api_route(
        f"{REPORTS_PATH}/{{token}}/{{name:path}}",
        methods=["GET", "POST"],
        tags=[_TAG],
        summary="A provider reports what came of a message",
        operation_id="report_delivery",
    )
    async def report_delivery(token: str, name: str, request: Request) -> dict[str, str]:
        provider = reporting.get(name)
        state = provider.parse_report(request.query_params, await request.body()) if provider else None
        if state is None or not await record_reports.record_by_token(token, name, state):
            raise HTTPException(status_code=404)
        return {"status": "recorded"}

    @web.post(
        f"{REPLIES_PATH}/{{token}}/{{name:path}}",
        tags=[_TAG],
        summary="A gateway delivers a reply",
        operation_id="deliver_reply",
    )
    async def deliver_reply(token: str, name: str, request: Request) -> PlainTextResponse:
        provider = two_way.get(name)
        if (
            provider is None
            or not provider.reply_token
            or not compare_digest(token.encode(), provider.reply_token.encode())
        ):
            raise HTTPException(status_code=404)
        reply = provider.parse_reply(request.headers, await request.body())
        if reply is None:
            raise HTTPException(status_code=422)
        await record_answers.answer_by_sms(reply)
        # A gateway may send what it gets here to the phone, and an unknown number must learn nothing.
        return PlainTextResponse("")
