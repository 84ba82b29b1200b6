"""Files for the coordinator's office: the recap of months, and the register of a month in the ministry's order."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from simpul_city import City
from simpul_desk.access import User
from simpul_desk.city_pages.indicators import KEYS, describe_charts, draw, read_indicators
from simpul_desk.city_pages.pages import CityPages, Coordinator
from simpul_desk.city_pages.register_columns import Column
from simpul_desk.city_pages.texts import CASE_STATES
from simpul_desk.rendering import page_language
from simpul_desk.table_files import CSV, XLSX, Cell, Sheet, as_file, write_csv, write_xlsx
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import AgeBand, Answer, Place, ReferralOutcome, Relation, Service, Sex, Urgency, Violence

REGISTER: Final = "/city/register"
RECAP: Final = "/city/indicators/recap.xlsx"
_MONTH: Final = re.compile(r"20\d\d-(0[1-9]|1[0-2])")
_FIGURE: Final = gettext_noop("Figure")
_VALUE: Final = gettext_noop("Value")
_TABLE: Final = gettext_noop("Table")
_RECAP: Final = gettext_noop("Recap")
_REGISTER: Final = gettext_noop("Register")


def add_register(web: FastAPI, pages: CityPages, columns: Sequence[Column]) -> None:
    """Adds the routes."""

    @web.get(f"{REGISTER}.csv", include_in_schema=False)
    async def as_csv(request: Request, user: Coordinator, month: str = "") -> Response:
        rows = await _read_register(pages, user, columns, month, page_language(request))
        return as_file(write_csv(rows), CSV, f"simpul-register-{month}.csv")

    @web.get(f"{REGISTER}.xlsx", include_in_schema=False)
    async def as_workbook(request: Request, user: Coordinator, month: str = "") -> Response:
        language = page_language(request)
        rows = await _read_register(pages, user, columns, month, language)
        name = load_translations("simpul_desk")[language].gettext(_REGISTER)
        return as_file(write_xlsx([Sheet(f"{name} {month}", rows)]), XLSX, f"simpul-register-{month}.xlsx")

    @web.get(RECAP, include_in_schema=False)
    async def recap(request: Request, user: Coordinator, since: str = "", until: str = "") -> Response:
        found = await read_indicators(pages, user, since, until)
        language = page_language(request)
        translate = load_translations("simpul_desk")[language].gettext
        charts = describe_charts(draw(found, pages.agency_names, language), pages.wording(request))
        heading = (translate(_TABLE), translate(_FIGURE), translate(_VALUE))
        summary = [heading, *((name, label, figure) for name, bars in charts for label, figure in bars)]
        sheets = [Sheet(translate(_RECAP), summary), *(_sheet_of(found[key], key) for key in KEYS)]
        name = f"simpul-recap-{found[KEYS[0]]['since']}-{found[KEYS[0]]['until']}.xlsx"
        return as_file(write_xlsx(sheets), XLSX, name)


def _sheet_of(found: Mapping[str, Any], key: str) -> Sheet:
    """Returns the figures by one key as routing published them: what is suppressed is an empty cell."""
    lines = found["services"]
    heading = list(lines[0]) if lines else ["key"]
    return Sheet(key, [heading, *([line[name] for name in heading] for line in lines)])


async def _read_register(
    pages: CityPages, user: User, columns: Sequence[Column], month: str, language: str
) -> list[list[Cell]]:
    if not _MONTH.fullmatch(month):
        raise HTTPException(404)
    cases: list[Mapping[str, Any]] = []
    after: str | None = ""
    while after is not None:
        page = (await pages.read(user, "/register", month=month, after=after)).content
        # More cases may be kept from a person than one request to routing can name.
        cases += [one for one in page["cases"] if not _is_hidden(user, one)]
        after = page["next"]
    describe = describe_case(pages.city, pages.agency_names, language)
    rows: list[list[Cell]] = [[column.name for column in columns]]
    for case in cases:
        fields = describe(case)
        rows.append([fields.get(column.field, "") for column in columns])
    return rows


def _is_hidden(user: User, case: Mapping[str, Any]) -> bool:
    return str(case["case_id"]) in {str(one) for one in user.excluded_cases}


def describe_case(
    city: City, agency_names: Mapping[str, str], language: str
) -> Callable[[Mapping[str, Any]], Mapping[str, Cell]]:
    """Returns what describes a case by the fields of the register, in the words of a language."""
    translate = load_translations("simpul_desk")[language].gettext

    def day(moment: str | None) -> str:
        return datetime.fromisoformat(moment).astimezone(city.zone).date().isoformat() if moment else ""

    def describe(case: Mapping[str, Any]) -> Mapping[str, Cell]:
        services = case["services"]
        outcomes = [one["outcome"] for one in services if one["outcome"]]
        return {
            "reference": case["reference"],
            "happened_on": case["happened_at"][:10],
            "reported_on": day(case["received_at"]),
            "place": Place(case["place"]).label(language),
            "event_kecamatan": case["event_kecamatan"],
            "city": city.name,
            "sex": Sex(case["sex"]).label(language),
            "age": AgeBand(case["age_band"]).label(language),
            "kecamatan": case["kecamatan"],
            "violence": ", ".join(Violence(one).label(language) for one in case["violence"]),
            "suspect_relation": Relation(case["perpetrator_relation"]).label(language),
            "suspect_is_child": Answer(case["perpetrator_is_child"]).label(language),
            "services": _list(Service(one["service"]).label(language) for one in services),
            "agencies": _list(agency_names.get(one["agency"], one["agency"]) for one in services),
            "outcomes": _list(ReferralOutcome(one).label(language) for one in outcomes),
            "urgency": Urgency(case["urgency"]).label(language),
            "state": translate(CASE_STATES[case["state"]]),
            "ended_on": day(case["ended_at"]),
        }

    return describe


def _list(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))
