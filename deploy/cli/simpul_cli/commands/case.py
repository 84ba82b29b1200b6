"""`simpul case`: cases by routing's API, for people with a token of `simpul token`."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from simpul_agreement.commands import Language, OutputLanguage
from simpul_cli import case_actions, consent_commands
from simpul_cli.case_options import (
    DEFAULT_TOKEN,
    URL,
    AsJson,
    Code,
    Reason,
    TokenFile,
    Url,
    calling,
    print_answer,
    read_parts,
    views_of,
)
from simpul_cli.languages import translator
from simpul_cli.options import KEDIRI, CityDir
from simpul_cli.routing_client import CallFailed
from simpul_schema.translations import gettext_noop
from simpul_schema.vocabulary import Urgency

app = typer.Typer(no_args_is_help=True)
app.add_typer(consent_commands.app, name="consent", help="Record, show and withdraw consents")
app.command("offer")(case_actions.offer_service)
app.command("decide-exclusion")(case_actions.decide_exclusion)
app.command("cancel")(case_actions.cancel_services)
app.command("urgency")(case_actions.change_urgency)
app.command("ask")(case_actions.send_question)
app.command("close")(case_actions.close_case)

Limit = Annotated[int, typer.Option(min=1, max=200, help="lines of a page")]
After = Annotated[str, typer.Option(help="cursor that the page before printed")]
_WHICH_LIST = gettext_noop("--after continues one list: add --only with one of {lists}.")
_NOT_CONFIRMED = gettext_noop("Changes are part of a confirmation: add --confirm.")


class Which(StrEnum):
    """Which cases are listed."""

    OPEN = "open"
    ENDED = "ended"
    ALL = "all"


@app.command("list")
def list_cases(
    which: Annotated[Which, typer.Option(help="open, ended or all cases")] = Which.OPEN,
    urgency: Annotated[Urgency | None, typer.Option(help="only cases of this urgency")] = None,
    limit: Limit = 50,
    after: After = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """List cases with their state, urgency and what is due next, late ones first, in pages."""
    with calling(url, token, language) as routing:
        chosen = urgency.value if urgency else ""
        page = routing.get("/cases", which=which.value, urgency=chosen, order="deadline", limit=limit, after=after)
        more = f" --urgency {chosen}" if chosen else ""
        again = f"simpul case list --which {which.value}{more} --limit {limit}"
        print_answer(page, as_json, lambda: views_of(language, city_dir).print_cases(page, again))


@app.command("show")
def show_case(
    code: Code,
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show a case: state, referrals with what is late, rights, and what a person must decide."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        print_answer(case, as_json, lambda: views_of(language, city_dir).print_case(case))


@app.command("timeline")
def show_timeline(
    code: Code,
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show the history of a case as sentences: what happened, who did it, and why."""
    with calling(url, token, language) as routing:
        lines = routing.get(f"/cases/{code}/timeline", language=language.value)
        print_answer(lines, as_json, lambda: views_of(language, city_dir).print_timeline(lines))


@app.command("plan")
def show_plan(
    code: Code,
    confirm: Annotated[bool, typer.Option("--confirm", help="confirm it, so that its services are offered")] = False,
    leave_out: Annotated[
        list[str] | None, typer.Option(metavar="SERVICE=REASON", help="confirm without this service; repeatable")
    ] = None,
    choose: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=AGENCY", help="confirm with this agency in the lead; repeatable"),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE=AGENCY[=REASON]", help="confirm with this service as well; repeatable"),
    ] = None,
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show the service plan of a case with its reasons, and confirm it as it is or with changes."""
    with calling(url, token, language) as routing:
        changes = {
            "left_out": read_parts("--leave-out", leave_out, ("service", "reason"), language=language),
            "agencies": read_parts("--choose", choose, ("service", "agency"), language=language),
            "added": read_parts("--add", add, ("service", "agency"), ("reason",), language=language),
        }
        if any(changes.values()) and not confirm:
            raise CallFailed(translator(language)(_NOT_CONFIRMED))
        plan = routing.get(f"/cases/{code}/service-plan", language=language.value)
        if confirm:
            path = f"/cases/{plan['case_id']}/service-plan/confirm"
            routing.call("POST", path, {"reason": reason, **changes}, version=f'"{plan["version"]}"')
        answer: Mapping[str, Any] = {**plan, "confirmed": changes} if confirm else plan

        def print_tables() -> None:
            views = views_of(language, city_dir)
            if confirm:
                views.print_confirmed_plan(plan, changes)
            else:
                views.print_plan(plan)

        print_answer(answer, as_json, print_tables)


class Waiting(StrEnum):
    """What waits for a person, by the path of its list in routing's API."""

    TRIAGES = "triage"
    EXCLUSIONS = "suggested-exclusions"
    PLANS = "service-plans"
    OVERLAPS = "suspected-overlaps"


@app.command("triage")
def show_triage(
    only: Annotated[Waiting | None, typer.Option(help="only this list, of which --after shows the next page")] = None,
    limit: Limit = 50,
    after: After = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show what waits for a person: triages, suggested exclusions, service plans, and cases of perhaps one child."""
    with calling(url, token, language) as routing:
        if after and only is None:
            raise CallFailed(translator(language)(_WHICH_LIST).format(lists=", ".join(Waiting)))
        required, found = only or Waiting.TRIAGES, {}
        for one in [only] if only else Waiting:
            read = routing.get if one is required else routing.get_if_permitted
            found[one.value.replace("-", "_")] = read(f"/{one.value}", limit=limit, after=after)

        def print_tables() -> None:
            views = views_of(language, city_dir)
            printed = {
                Waiting.TRIAGES: views.print_triage,
                Waiting.EXCLUSIONS: views.print_suggestions,
                Waiting.PLANS: views.print_plans,
                Waiting.OVERLAPS: views.print_overlaps,
            }
            for one, print_page in printed.items():
                page = found.get(one.value.replace("-", "_"))
                if page:
                    print_page(page, f"simpul case triage --only {one.value} --limit {limit}")

        print_answer(found, as_json, print_tables)
