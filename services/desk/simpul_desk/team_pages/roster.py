"""The roster of an agency: who is on duty in the coming weeks, absences and shifts, entered by its lead."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from simpul_agreement.model import Agreement
from simpul_city import City
from simpul_desk.access import Actor, Role, User, require
from simpul_desk.rendering import page_language, render
from simpul_desk.service_api import NotifyApi, ServiceRefused
from simpul_desk.team_pages.roster_table import Entry, TableUnreadable, pack, read_table, unpack, write_example
from simpul_desk.wording import Wording
from simpul_runtime.database import utc_now
from simpul_schema.translations import gettext_noop, load_translations

ROSTER: Final = "/roster"
KINDS: Final[Mapping[str, str]] = {
    "absence": gettext_noop("away"),
    "shift": gettext_noop("on duty"),
}
"""What an entry says about a responder."""
PROBLEMS: Final[Mapping[str, str]] = {
    "period_reversed": gettext_noop("The end must be after the beginning."),
    "too_long": gettext_noop("The time is longer than a year. Have the people of the roster changed instead."),
    "over": gettext_noop("This time is over already."),
    "unknown_responder": gettext_noop("The roster has nobody of this name. The names stand under People."),
    "is_lead": gettext_noop("This person is alerted as a lead when nobody reacts, and takes no shifts."),
    "unreachable": gettext_noop("This person cannot be reached: no number and no address was verified."),
    "away": gettext_noop("This person is away at that time."),
    "leaves_gap": gettext_noop("From {start} until {end} nobody who can be reached would be on duty."),
    "too_many": gettext_noop("The roster has too many entries. Remove some first."),
}
"""What notify refuses -> the sentence for the lead."""
_GAP_WITHOUT: Final = gettext_noop(
    "From {start} until {end} nobody who can be reached would be on duty. Enter first who takes over."
)
_NO_TIME: Final = gettext_noop("Enter day and time of beginning and end.")
_DONE: Final[Mapping[str, str]] = {
    "added": gettext_noop("It is entered, and counts from its beginning on."),
    "removed": gettext_noop("It is removed."),
    "table": gettext_noop("The rows are entered."),
}
_Reader = Annotated[User, Depends(require(Role.AGENCY_LEAD, Role.COORDINATOR))]
_Lead = Annotated[User, Depends(require(Role.AGENCY_LEAD))]


@dataclass(frozen=True)
class RosterPages:
    """Renders the rosters that notify keeps; `find_agreement` finds the version that names parties above agencies."""

    city: City
    notify: NotifyApi
    find_agreement: Callable[[], Agreement | None]

    def name_parties(self, language: str) -> Mapping[str, str]:
        """Code -> name, also of those above agencies."""
        agreement = self.find_agreement()
        parties = agreement.parties if agreement else ()
        named = {agency.code: agency.name for agency in self.city.agencies}
        return {one.code: one.name.in_language(language) for one in parties} | named

    def wording(self, request: Request) -> Wording:
        """Returns how times are written on the page that answers a request."""
        return Wording(page_language(request), self.city.zone, utc_now())

    async def read(self, user: User, party: str) -> tuple[Actor, Any]:
        """Reads the roster of a party as the person who may know it best: as its lead, or as the coordinator."""
        for actor in actors_of(user):
            try:
                return actor, (await self.notify.get(actor, f"/rosters/{party}")).content
            except ServiceRefused as refusal:
                if not refusal.is_unknown:
                    raise
        raise HTTPException(404)

    async def read_as_lead(self, user: User, party: str) -> tuple[Actor, Any]:
        """The same for a change, which only the lead may make."""
        actor, roster = await self.read(user, party)
        if not roster["may_change"]:
            raise HTTPException(404)
        return actor, roster

    def render_roster(
        self,
        request: Request,
        party: str,
        roster: Any,
        given: FormData | None = None,
        problem: str = "",
        done: str = "",
    ) -> Response:
        """Renders the page of a roster, with a refused form and why it was refused."""
        language = page_language(request)
        return render(
            request,
            "team/roster.html",
            status=422 if problem else 200,
            party=party,
            roster=roster,
            party_name=self.name_parties(language).get(party, party),
            wording=self.wording(request),
            kinds=KINDS,
            parse=datetime.fromisoformat,
            given=given or {},
            problem=problem,
            done=_DONE.get(done, ""),
        )

    def render_table(self, request: Request, party: str, rows: Sequence[Entry] = (), problem: str = "") -> Response:
        """Renders the form for a table, or what was found in one."""
        language = page_language(request)
        return render(
            request,
            "team/roster_table.html",
            status=422 if problem else 200,
            party=party,
            rows=rows,
            problem=problem,
            party_name=self.name_parties(language).get(party, party),
            wording=self.wording(request),
            kinds=KINDS,
            pack=pack,
        )

    def describe(self, request: Request, refused: Mapping[str, Any], *, is_removal: bool = False) -> str:
        """Returns why notify refuses an entry, for the lead."""
        wording = self.wording(request)
        text = _GAP_WITHOUT if is_removal else PROBLEMS[refused["problem"]]
        sentence = load_translations("simpul_desk")[page_language(request)].gettext(text)
        gap = refused["gap"]
        moments = (
            (wording.moment(datetime.fromisoformat(gap[name])) for name in ("starts_at", "ends_at")) if gap else ()
        )
        return sentence.format(**dict(zip(("start", "end"), moments, strict=False)))

    async def judge(
        self, request: Request, actor: Actor, party: str, rows: Sequence[Entry], *, is_preview: bool
    ) -> tuple[bool, list[Entry]]:
        """Sends the rows without a problem to notify; returns whether they are stored, and all rows with problems."""
        good = [row for row in rows if not row.problem]
        if not good:
            return False, list(rows)
        answer = await self.notify.call(
            actor,
            "POST",
            f"/rosters/{party}/entries",
            {"entries": [row.as_json() for row in good]},
            query={"preview": "true" if is_preview else ""},
        )
        found = {good[one["position"]].number: self.describe(request, one) for one in answer.content["refused"]}
        return answer.content["is_stored"], [row.with_problem(found.get(row.number, row.problem)) for row in rows]


def actors_of(user: User) -> list[Actor]:
    """Returns as whom a person may read rosters: first as lead of each agency, then as the coordinator."""
    found = [user.act_in(agency) for agency in sorted(user.agencies_as(Role.AGENCY_LEAD))]
    return [*found, *([user.act_as(Role.COORDINATOR)] if Role.COORDINATOR in user.city_roles else [])]


def add_roster_pages(web: FastAPI, pages: RosterPages) -> None:
    """Adds the routes."""
    _add_reading(web, pages)
    _add_changes(web, pages)
    _add_table(web, pages)


def _add_reading(web: FastAPI, pages: RosterPages) -> None:
    @web.get(ROSTER, include_in_schema=False)
    async def rosters(request: Request, user: _Reader) -> Response:
        answers = [(await pages.notify.get(actor, "/rosters")).content for actor in actors_of(user)]
        parties = {one["party"]: one for answer in answers for one in answer["parties"]}
        return render(
            request,
            "team/rosters.html",
            parties=[parties[party] for party in sorted(parties)],
            party_names=pages.name_parties(page_language(request)),
            wording=pages.wording(request),
            parse=datetime.fromisoformat,
        )

    @web.get(f"{ROSTER}/{{party}}", include_in_schema=False)
    async def roster(request: Request, user: _Reader, party: str, done: str = "") -> Response:
        _, found = await pages.read(user, party)
        return pages.render_roster(request, party, found, done=done)

    @web.get(f"{ROSTER}/{{party}}/calendar.ics", include_in_schema=False)
    async def calendar(user: _Reader, party: str) -> Response:
        actor, _ = await pages.read(user, party)
        answer = await pages.notify.get(actor, f"/rosters/{party}/calendar.ics")
        headers = {"content-disposition": f'attachment; filename="simpul-{party}.ics"'}
        return Response(answer.content, media_type="text/calendar; charset=utf-8", headers=headers)


def _add_changes(web: FastAPI, pages: RosterPages) -> None:
    @web.post(f"{ROSTER}/{{party}}/entries", include_in_schema=False)
    async def add(request: Request, user: _Lead, party: str) -> Response:
        actor, roster = await pages.read_as_lead(user, party)
        given = await request.form()
        entry = read_form(given, pages.city, page_language(request))
        is_stored, rows = await pages.judge(request, actor, party, [entry], is_preview=False)
        if is_stored:
            return RedirectResponse(f"{ROSTER}/{party}?done=added", 303)
        return pages.render_roster(request, party, roster, given, rows[0].problem)

    @web.post(f"{ROSTER}/{{party}}/entries/{{change_id}}/remove", include_in_schema=False)
    async def remove(request: Request, user: _Lead, party: str, change_id: UUID) -> Response:
        actor, roster = await pages.read_as_lead(user, party)
        answer = await pages.notify.call(actor, "DELETE", f"/rosters/{party}/entries/{change_id}")
        if answer.content["is_stored"]:
            return RedirectResponse(f"{ROSTER}/{party}?done=removed", 303)
        problem = pages.describe(request, answer.content["refused"][0], is_removal=True)
        return pages.render_roster(request, party, roster, problem=problem)


def _add_table(web: FastAPI, pages: RosterPages) -> None:
    @web.get(f"{ROSTER}/{{party}}/table", include_in_schema=False)
    async def choose(request: Request, user: _Lead, party: str) -> Response:
        await pages.read_as_lead(user, party)
        return pages.render_table(request, party)

    @web.get(f"{ROSTER}/{{party}}/example.csv", include_in_schema=False)
    async def example(request: Request, user: _Lead, party: str) -> Response:
        _, roster = await pages.read_as_lead(user, party)
        people = [one["responder"] for one in roster["people"] if not one["is_lead"]]
        content = write_example(people, page_language(request), pages.wording(request).now.astimezone(pages.city.zone))
        headers = {"content-disposition": f'attachment; filename="simpul-{party}.csv"'}
        return Response(content, media_type="text/csv; charset=utf-8", headers=headers)

    @web.post(f"{ROSTER}/{{party}}/table", include_in_schema=False)
    async def preview(request: Request, user: _Lead, party: str) -> Response:
        actor, _ = await pages.read_as_lead(user, party)
        given = await request.form()
        uploaded = given.get("table")
        try:
            content = await uploaded.read() if isinstance(uploaded, UploadFile) else b""
            rows = read_table(content, pages.city, page_language(request))
        except TableUnreadable as problem:
            return pages.render_table(request, party, problem=str(problem))
        finally:
            await given.close()
        _, judged = await pages.judge(request, actor, party, rows, is_preview=True)
        return pages.render_table(request, party, judged)

    @web.post(f"{ROSTER}/{{party}}/table/store", include_in_schema=False)
    async def store(request: Request, user: _Lead, party: str) -> Response:
        actor, _ = await pages.read_as_lead(user, party)
        rows = unpack(str((await request.form()).get("rows", "")))
        is_stored, judged = await pages.judge(request, actor, party, rows, is_preview=False)
        if is_stored:
            return RedirectResponse(f"{ROSTER}/{party}?done=table", 303)
        return pages.render_table(request, party, judged)


def read_form(given: FormData, city: City, language: str) -> Entry:
    """Reads an entry that was typed; times are those of the city."""
    kind = str(given.get("kind", ""))
    try:
        start, end = (
            datetime.fromisoformat(str(given.get(name, ""))).replace(tzinfo=city.zone)
            for name in ("starts_at", "ends_at")
        )
    except ValueError:
        start = end = utc_now()
        problem = load_translations("simpul_desk")[language].gettext(_NO_TIME)
    else:
        problem = ""
    kind = kind if kind in KINDS else "absence"
    return Entry(1, kind, str(given.get("responder", ""))[:80], start, end, problem)
