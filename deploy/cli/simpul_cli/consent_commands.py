"""`simpul case consent`: who consented to the processing of a child's data, for what, and in which words."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from simpul_agreement.commands import Language, OutputLanguage
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
    views_of,
)
from simpul_cli.options import KEDIRI, CityDir
from simpul_routing.domain.consents import ConsentGiver, ConsentWay
from simpul_schema.vocabulary import Relation, Right

app = typer.Typer(no_args_is_help=True)


class TextLanguage(StrEnum):
    """The language in which somebody consented."""

    ID = "id"
    JV = "jv"
    EN = "en"


Purposes = Annotated[
    list[Right], typer.Option("--for", help="a right for which the child's data are processed; repeatable")
]


@app.command("texts")
def show_texts(
    url: Url = URL, token: TokenFile = DEFAULT_TOKEN, as_json: AsJson = False, language: Language = OutputLanguage.ID
) -> None:
    """Show the texts to read out or sign, by version and language."""
    with calling(url, token, language) as routing:
        versions = routing.get("/consent-texts")

        def print_texts() -> None:
            for version, texts in versions.items():
                for code, text in texts.items():
                    typer.echo(f"{version} {code}: {text}")

        print_answer(versions, as_json, print_texts)


@app.command("record")
def record_consent(
    code: Code,
    purposes: Purposes,
    text: Annotated[str, typer.Option(help="version of the text that was read out or signed")],
    by: Annotated[ConsentGiver, typer.Option(help="child: also the assent of a younger child")],
    relation: Annotated[
        Relation, typer.Option(help="what a guardian is to the child; required of a guardian")
    ] = Relation.UNKNOWN,
    way: Annotated[ConsentWay, typer.Option(help="written, spoken in person, or by phone")] = ConsentWay.SPOKEN,
    text_language: Annotated[TextLanguage, typer.Option(help="language of the text")] = TextLanguage.ID,
    at: Annotated[datetime | None, typer.Option(help="when, in UTC; now when omitted")] = None,
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Record a consent; refused where whoever consents may be the suspect."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        body = {
            "purposes": [one.value for one in purposes],
            "given_by": by.value,
            "relation": relation.value,
            "way": way.value,
            "text": text,
            "language": text_language.value,
            "reason": reason,
            "given_at": f"{at.isoformat()}Z" if at else None,
        }
        routing.change_case("POST", case, "/consents", body)
        consents = routing.get(f"/cases/{case['case_id']}/consents")
        views_of(language, city_dir).print_consents(case["reference"], consents)


@app.command("show")
def show_consents(
    code: Code,
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    as_json: AsJson = False,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Show who consented to what, when, how and in which words, and what was withdrawn."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        consents = routing.get(f"/cases/{case['case_id']}/consents")
        print_answer(
            consents, as_json, lambda: views_of(language, city_dir).print_consents(case["reference"], consents)
        )


@app.command("withdraw")
def withdraw_consent(
    code: Code,
    purposes: Annotated[
        list[Right] | None, typer.Option("--for", help="only for this right; every purpose when omitted; repeatable")
    ] = None,
    reason: Reason = "",
    url: Url = URL,
    token: TokenFile = DEFAULT_TOKEN,
    language: Language = OutputLanguage.ID,
    city_dir: CityDir = KEDIRI,
) -> None:
    """Withdraw consents; each agency that accepted for their purposes must confirm within 3 x 24 hours."""
    with calling(url, token, language) as routing:
        case = routing.get(f"/cases/{code}")
        body = {"purposes": [one.value for one in purposes or ()], "reason": reason}
        routing.change_case("POST", case, "/consent-withdrawals", body)
        consents = routing.get(f"/cases/{case['case_id']}/consents")
        views_of(language, city_dir).print_consents(case["reference"], consents)
