"""Commands of `simpul case` that change a case; each acts as the person of the token, on the case as it is now."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import typer

from simpul_agreement.commands import Language, OutputLanguage
from simpul_cli.case_options import (
    DEFAULT_TOKEN,
    URL,
    Code,
    Reason,
    TokenFile,
    Url,
    calling,
    read_service,
    views_of,
)
from simpul_cli.languages import translator
from simpul_cli.options import KEDIRI, CityDir
from simpul_cli.routing_client import CallFailed
from simpul_schema.references import read_code, referral_code
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import CancelReason, CaseEnd, ReferralRole, Urgency

AgencyArgument = Annotated[str, typer.Argument(metavar="AGENCY", help="code of the agency, such as dinsos-peksos")]
_QUESTION = gettext_noop("Question to the reporting person; whoever has the receipt reads it")
_NO_REFERRAL = gettext_noop("{code} names a case; write the code of the referral to cancel, which starts with R-.")
_NOT_OF_REFERRAL = gettext_noop("The referral has no open service {service}; `simpul case show {code}` lists them.")


class Decision(StrEnum):
    """What a person decides about a suggested exclusion."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


def offer_service(
    code: Code,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="code or name of the service")],
    agency: AgencyArgument,
    settles: Annotated[
        str, typer.Option(metavar="R-CODE", help="the triage or declined service that this settles: its referral or id")
    ] = "",
    role: Annotated[ReferralRole, typer.Option(help="lead or support")] = ReferralRole.LEAD,
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Offer a service to an agency by hand, which also settles a triage."""
    with calling(url, token, language) as routing:
        wanted = read_service(service, language)
        case = routing.get(f"/cases/{code}")
        body = {"service": wanted.value, "agency": agency, "role": role.value, "settles": settles, "reason": reason}
        offered = routing.change_case("POST", case, "/referrals", body)
        views_of(language, city_dir).print_offered(
            case["reference"], wanted, agency, referral_code(UUID(offered["referral_id"]))
        )


def decide_exclusion(
    code: Code,
    agency: AgencyArgument,
    decision: Annotated[Decision, typer.Argument(help="confirmed excludes the agency, rejected offers what waited")],
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Confirm or reject the exclusion of an agency that an unverified source suggested."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        body = {"decision": decision.value, "reason": reason}
        routing.change_case("PUT", case, f"/suggested-exclusions/{agency}", body)
        views_of(language, city_dir).print_exclusion_decided(
            case["reference"], agency, is_excluded=decision is Decision.CONFIRMED
        )


def cancel_services(
    code: Annotated[str, typer.Argument(metavar="R-CODE", help="code of the referral, such as R-7K3Q2M")],
    service: Annotated[list[str] | None, typer.Option(help="only this service, by code or name; repeatable")] = None,
    in_error: Annotated[bool, typer.Option("--in-error", help="it was entered in error")] = False,
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Cancel a referral, or some of its services."""
    with calling(url, token, language) as routing:
        wanted = [read_service(one, language).value for one in service or ()]
        case = routing.get(f"/cases/{code}")
        referral = _find_referral(case, code, language)
        ids = [_find_open_service(referral, one, language) for one in wanted]
        why = CancelReason.ENTERED_IN_ERROR if in_error else CancelReason.TAKEN_BACK
        body = {"service_ids": ids, "why": why.value, "reason": reason}
        routing.change_case("POST", case, f"/referrals/{referral['referral_id']}/cancel", body)
        views_of(language, city_dir).print_cancelled(referral, frozenset(ids))


def change_urgency(
    code: Code,
    urgency: Annotated[Urgency, typer.Argument(help="the new urgency; lowering it requires a reason")],
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Change the urgency of a case, by which its deadlines are set again."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        routing.change_case("PUT", case, "/urgency", {"urgency": urgency.value, "reason": reason})
        views_of(language, city_dir).print_urgency_changed(case["reference"], urgency)


def send_question(
    code: Code,
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Ask the reporting person, who answers with the receipt; the question is read from the input, never an option."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        question = typer.prompt(translator(language)(_QUESTION), err=True)
        routing.change_case("POST", case, "/questions", {"question": question})
        views_of(language, city_dir).print_question_sent(case["reference"])


def close_case(
    code: Code,
    end: Annotated[CaseEnd, typer.Argument(help="completed requires that every right is settled")],
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Close a case."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        routing.change_case("POST", case, "/close", {"end": end.value, "reason": reason})
        views_of(language, city_dir).print_closed(case["reference"], end)


def _find_referral(case: dict[str, Any], code: str, language: str) -> dict[str, Any]:
    """Finds the referral of a case by its code or id, as people write it."""
    for referral in case["referrals"]:
        if code in (referral["referral_id"], referral["code"]) or read_code(code) == read_code(referral["code"]):
            return dict(referral)
    raise CallFailed(translator(language)(_NO_REFERRAL).format(code=code))


def _find_open_service(referral: dict[str, Any], service: str, language: str) -> str:
    for one in referral["services"]:
        if one["service"] == service and not one["ended_at"]:
            return str(one["service_id"])
    raise CallFailed(translator(language)(_NOT_OF_REFERRAL).format(service=service, code=referral["code"]))
