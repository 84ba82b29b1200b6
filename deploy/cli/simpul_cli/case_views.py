"""Shows what routing answers about cases as tables and sentences, in Bahasa Indonesia or English."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from simpul_agreement.model import ClockName
from simpul_routing.domain.case_lifecycle import CaseState
from simpul_routing.domain.consents import ConsentGiver, ConsentWay
from simpul_routing.domain.lifecycle import ServiceState
from simpul_schema.references import case_reference
from simpul_schema.translations import gettext_noop, load_translations
from simpul_schema.vocabulary import CaseEnd, ReferralRole, Relation, Right, RightState, Service, Term, Urgency

_PACKAGE: Final = "simpul_cli"
_WIDTH: Final = 110
"""Columns of the output where no terminal says how many it has."""
_DEADLINES_WIDTH: Final = 34
"""Characters in which a deadline takes two lines or three."""

_MORE: Final = gettext_noop("{shown} of {total}. The next page: {command}")
_ALL: Final = gettext_noop("{shown} of {total}")
_NONE: Final = gettext_noop("none")
_WAYS: Final = {
    ConsentWay.WRITTEN: gettext_noop("in writing"),
    ConsentWay.SPOKEN: gettext_noop("in person"),
    ConsentWay.PHONE: gettext_noop("by phone"),
}


class CaseViews:
    """Prints answers in one language, with times of the city's zone and the names of its agencies by code."""

    def __init__(self, language: str, zone: ZoneInfo, agencies: Mapping[str, str], width: int = _WIDTH) -> None:
        self._language = language
        self._zone = zone
        self._agencies = agencies
        # What a person wrote, such as a reason, is never markup.
        self._console = Console(width=None if Console().is_terminal else width, highlight=False, markup=False)
        self._: Callable[[str], str] = load_translations(_PACKAGE)[language].gettext

    def print_cases(self, page: Mapping[str, Any], command: str) -> None:
        """Prints a page of cases; `command` shows the next one, up to the cursor."""
        _ = self._
        table = self._start_table(_("Case"), _("Urgency"), _("State"), _("Late or due next"), _("Decided"), _("Ended"))
        for case in page["cases"]:
            table.add_row(
                case["reference"],
                self._label(Urgency, case["urgency"]),
                self._label(CaseState, case["state"]),
                self._describe_next(case),
                self._when(case["decided_at"]),
                self._end(case),
            )
        self._print_page(table, page["cases"], page, command)

    def print_case(self, case: Mapping[str, Any]) -> None:
        """Prints a case with its rights, referrals and what a person must decide."""
        _ = self._
        print_line = self._console.print
        self._print_title(case["reference"], case["case_id"])
        for name, value in (
            (_("State"), self._label(CaseState, case["state"])),
            (_("Urgency"), self._label(Urgency, case["urgency"])),
            (_("Decided"), f"{self._when(case['decided_at'])}, {case['agreement']}"),
            (_("Mediation"), _("forbidden") if case["mediation_locked"] else _("as the agreement says")),
            (_("Ended"), self._end(case)),
        ):
            if value:
                print_line(f"{name}: {value}")
        print_line()
        self._print_referrals(case["referrals"])
        rights = self._start_table(_("Right"), _("State"))
        for right, entry in case["rights"].items():
            rights.add_row(self._label(Right, right), self._label(RightState, entry["state"]))
        print_line(rights)
        self._print_open_decisions(case)

    def print_consents(self, reference: str, consents: Sequence[Mapping[str, Any]]) -> None:
        """Prints who consented to what, when, how and in which words."""
        _ = self._
        table = self._start_table(_("Purpose"), _("Given by"), _("How"), _("Text"), _("When"), _("Withdrawn"))
        for one in consents:
            is_child = one["given_by"] == ConsentGiver.CHILD
            giver = _("the child") if is_child else self._label(Relation, one["relation"])
            table.add_row(
                self._label(Right, one["purpose"]),
                giver,
                _(_WAYS[ConsentWay(one["way"])]),
                f"{one['text']} {one['language']}",
                self._when(one["given_at"]),
                self._when(one["withdrawn_at"]) if one["withdrawn_at"] else "",
            )
        self._console.print(f"{reference}: {_('consents')}")
        if consents:
            self._console.print(table)
        else:
            self._console.print(_(_NONE))

    def _print_referrals(self, referrals: Sequence[Mapping[str, Any]]) -> None:
        _ = self._
        table = self._start_table(_("Referral"), _("Agency"), _("Service"), _("Urgency"), _("State"))
        table.add_column(_("Deadlines"), overflow="fold", width=_DEADLINES_WIDTH)
        for referral in referrals:
            # What belongs to the referral as a whole stands once, next to the first of its services.
            code, agency, clocks = referral["code"], referral["agency_name"], referral["clocks"]
            for service in referral["services"]:
                deadlines = [self._describe_clock(clock) for clock in (*clocks, *service["clocks"])]
                is_lead = service["role"] == ReferralRole.LEAD.value
                role = "" if is_lead else self._label(ReferralRole, service["role"]).lower()
                table.add_row(
                    code,
                    agency,
                    _in_brackets(self._label(Service, service["service"]), role),
                    self._label(Urgency, service["urgency"]),
                    self._label(ServiceState, service["state"]),
                    "\n".join(line for line in deadlines if line),
                )
                code, agency, clocks = "", "", []
        self._console.print(table)

    def _describe_clock(self, clock: Mapping[str, Any]) -> str:
        """Describes a deadline that is late, was met late, or still runs; one that was met in time has no line."""
        _ = self._
        if clock["is_late"]:
            met = self._when(clock["stopped_at"]) if clock["stopped_at"] else ""
            text = _("{deadline}: LATE since {when}, met {met}") if met else _("{deadline}: LATE since {when}")
        elif clock["stopped_at"]:
            return ""
        else:
            met, text = "", _("{deadline}: by {when}")
        shown = text.format(deadline=self._name_deadline(clock["clock"]), when=self._when(clock["due_at"]), met=met)
        return _in_brackets(shown, self._name_step(clock["last_step"]))

    def _describe_next(self, case: Mapping[str, Any]) -> str:
        """Describes what is due next in a case, or is late."""
        if not case["next_due_at"]:
            return ""
        text = self._("{deadline}: LATE since {when}") if case["is_late"] else self._("{deadline}: by {when}")
        deadline = self._name_deadline(case["next_due"])
        if case["next_service"]:
            deadline = f"{self._label(Service, case['next_service'])}, {deadline}"
        return text.format(deadline=deadline, when=self._when(case["next_due_at"]))

    def _name_deadline(self, code: str) -> str:
        """Names a deadline: a clock of a service, the decision on a plan or on suggested exclusions."""
        named: dict[str, str] = {
            "service_plan": self._("Confirmation of the service plan"),
            "exclusion_review": self._("Decision on suggested exclusions"),
        }
        for clock in ClockName:
            named[clock.value] = clock.label(self._language)
        return named.get(code, code)

    def _name_step(self, step: str | None) -> str:
        _ = self._
        named = {"50": _("reminded"), "100": _("escalated once, 100 %"), "200": _("escalated twice, 200 %")}
        return named.get(step or "", "")

    def _print_open_decisions(self, case: Mapping[str, Any]) -> None:
        _ = self._
        pending = [one for one in case["suggested_exclusions"] if one["state"] == "pending"]
        review, plan = case["exclusion_review"], case["service_plan"]
        if case.get("is_reporter_cut_off"):
            self._print_text(
                _(
                    "New questions do not reach the reporting person: the centre that filed the report may be too "
                    "close to the suspect and know the receipt words. Use the safe contact in the dossier."
                )
            )
        if pending:
            agencies = ", ".join(f"{one['agency_name']} ({one['agency']})" for one in pending)
            self._print_text(_("Suggested exclusions that nobody decided yet: {agencies}").format(agencies=agencies))
            self._print_text(
                _("Until then the dossier is withheld from them, except where life, body or evidence is protected.")
            )
            if review:
                decide_by = self._when(review["decide_by"])
                self._print_text(_("{agency} decides by {when}").format(agency=review["agency_name"], when=decide_by))
            command = f"simpul case decide-exclusion {case['reference']} {pending[0]['agency']} confirmed|rejected"
            self._print_text(_("To decide: {command}").format(command=command))
        if plan:
            self._print_text(_("A service plan waits for {agency}").format(agency=plan["agency_name"]))
            self._print_plan_deadline(plan)
            self._print_text(_("To see it: {command}").format(command=f"simpul case plan {case['reference']}"))
        overlaps = [one["reference"] for one in case["suspected_overlaps"] if one["is_open"]]
        if overlaps:
            self._print_text(_("Perhaps the same child: {cases}").format(cases=", ".join(overlaps)))

    def print_timeline(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Prints the history of a case."""
        for line in lines:
            self._console.print(f"{self._when(line['at'])}  {line['text']}")

    def print_plan(self, plan: Mapping[str, Any]) -> None:
        """Prints a service plan with the reasons of each service, and how to confirm it.

        Each name is followed by its code, because an option that changes the plan takes codes.
        """
        _ = self._
        self._print_title(plan["reference"], plan["agency_name"])
        self._print_plan_deadline(plan)
        table = self._start_table(_("Service"), _("Agency"), _("Role"), _("Because"))
        shown: set[tuple[str, str]] = set()
        for one in plan["services"]:
            # Lead and supports of a service have most reasons in common; each stands once, where it is first given.
            new = [reason for reason in one["reasons"] if (one["service"], reason) not in shown]
            shown |= {(one["service"], reason) for reason in new}
            table.add_row(
                f"{self._label(Service, one['service'])} ({one['service']})",
                f"{one['agency_name']} ({one['agency']})",
                self._label(ReferralRole, one["role"]),
                " ".join(new),
            )
        self._console.print(table)
        self._print_text(
            _("To confirm it: {command}").format(command=f"simpul case plan {plan['reference']} --confirm")
        )

    def print_confirmed_plan(self, plan: Mapping[str, Any], changes: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
        """Prints what was decided about a plan: who serves, what was left out, and what was added."""
        _ = self._
        left_out = {one["service"]: one["reason"] for one in changes["left_out"]}
        chosen = {one["service"]: one["agency"] for one in changes["agencies"]}
        self._print_title(plan["reference"])
        table = self._start_table(_("Service"), _("Agency"), _("Role"), _("Decision"))
        for one in plan["services"]:
            service, is_lead = one["service"], one["role"] == ReferralRole.LEAD.value
            agency = chosen.get(service, one["agency"]) if is_lead else one["agency"]
            if service in left_out or (not is_lead and agency == chosen.get(service)):
                continue
            decision = _("another agency was chosen") if agency != one["agency"] else _("as proposed")
            self._add_decided(table, service, agency, one["role"], decision)
        for added in changes["added"]:
            decision = _in_brackets(_("added"), added.get("reason", ""))
            self._add_decided(table, added["service"], added["agency"], ReferralRole.LEAD.value, decision)
        for service, reason in left_out.items():
            table.add_row(self._label(Service, service), "", "", _in_brackets(_("left out"), reason))
        self._console.print(table)
        self._print_text(_("The plan is confirmed; its services are offered now."))

    def _add_decided(self, table: Table, service: str, agency: str, role: str, decision: str) -> None:
        table.add_row(self._label(Service, service), self._name(agency), self._label(ReferralRole, role), decision)

    def _print_plan_deadline(self, plan: Mapping[str, Any]) -> None:
        _ = self._
        deadline = _("To confirm by {when}; then it is sent as it is.")
        if not plan["is_sent_at_deadline"]:
            deadline = _("To confirm by {when}; it is not sent before a person confirms it.")
        self._print_text(deadline.format(when=self._when(plan["confirm_by"])))

    def print_plans(self, page: Mapping[str, Any], command: str) -> None:
        """Prints cases whose service plan awaits a decision."""
        _ = self._
        self._print_heading(_("Service plans to confirm"))
        table = self._start_table(_("Case"), _("Urgency"), _("Decides"), _("Confirm by"), _("At the deadline"))
        for plan in page["plans"]:
            at_deadline = _("sent as it is") if plan["is_sent_at_deadline"] else _("waits for a person")
            table.add_row(
                plan["reference"],
                self._label(Urgency, plan["urgency"]),
                plan["agency_name"],
                self._when(plan["confirm_by"]),
                at_deadline,
            )
        self._print_page(table, page["plans"], page, command)
        if page["plans"]:
            self._print_text(_("To see one: {command}").format(command="simpul case plan K-..."))

    def print_offered(self, reference: str, service: Service, agency: str, code: str) -> None:
        """Prints that a service was offered by hand."""
        text = self._("{case}: {service} was offered to {agency} ({code}).")
        self._print_text(
            text.format(case=reference, service=service.label(self._language), agency=self._name(agency), code=code)
        )

    def print_exclusion_decided(self, reference: str, agency: str, *, is_excluded: bool) -> None:
        """Prints what was decided about a suggested exclusion."""
        text = self._("{case}: {agency} is not excluded; the services that waited are offered.")
        if is_excluded:
            text = self._("{case}: {agency} is excluded from this case.")
        self._print_text(text.format(case=reference, agency=self._name(agency)))

    def print_cancelled(self, referral: Mapping[str, Any], service_ids: AbstractSet[str]) -> None:
        """Prints which services of a referral were cancelled; all that were open if none was named."""
        cancelled = [
            self._label(Service, one["service"])
            for one in referral["services"]
            if not one["ended_at"] and (not service_ids or one["service_id"] in service_ids)
        ]
        text = self._("{code}: {agency} no longer has to serve: {services}.")
        self._print_text(
            text.format(code=referral["code"], agency=referral["agency_name"], services=", ".join(cancelled))
        )

    def print_urgency_changed(self, reference: str, urgency: Urgency) -> None:
        """Prints the new urgency of a case."""
        text = self._("{case}: the urgency is now {urgency}.")
        self._print_text(text.format(case=reference, urgency=urgency.label(self._language)))

    def print_closed(self, reference: str, end: CaseEnd) -> None:
        """Prints that a case was closed."""
        self._print_text(self._("{case} is closed: {end}.").format(case=reference, end=end.label(self._language)))

    def print_question_sent(self, reference: str) -> None:
        """Prints that the reporting person was asked."""
        self._print_text(
            self._("{case}: the question is asked. The answer comes into the dossier.").format(case=reference)
        )

    def print_triage(self, page: Mapping[str, Any], command: str) -> None:
        """Prints services that a person must triage."""
        _ = self._
        self._print_heading(_("Services to triage"))
        table = self._start_table(_("Case"), _("Referral"), _("Agency"), _("Service"), _("Urgency"), _("Answer by"))
        for line in page["triage"]:
            service = line["escalated_service"] or Service.MANUAL_TRIAGE.value
            table.add_row(
                line["reference"],
                line["code"],
                line["agency_name"],
                self._label(Service, service),
                self._label(Urgency, line["urgency"]),
                self._when(line["answer_by"]),
            )
        self._print_page(table, page["triage"], page, command)
        if page["triage"]:
            offer = "simpul case offer K-... SERVICE AGENCY --settles R-..."
            self._print_text(_("To offer the service by hand: {command}").format(command=offer))

    def print_suggestions(self, page: Mapping[str, Any], command: str) -> None:
        """Prints cases in which a suggested exclusion is undecided."""
        _ = self._
        self._print_heading(_("Suggested exclusions to decide"))
        table = self._start_table(_("Case"), _("Agencies"), _("Decides"), _("Decide by"))
        for case in page["cases"]:
            suggested = case["suggested_exclusions"]
            agencies = ", ".join(f"{one['agency_name']} ({one['agency']})" for one in suggested)
            table.add_row(case["reference"], agencies, case["agency_name"], self._when(case["decide_by"]))
        self._print_page(table, page["cases"], page, command)
        if page["cases"]:
            decide = "simpul case decide-exclusion K-... AGENCY confirmed|rejected"
            self._print_text(_("To decide: {command}").format(command=decide))

    def print_overlaps(self, page: Mapping[str, Any], command: str) -> None:
        """Prints pairs of cases that may be about the same child."""
        _ = self._
        self._print_heading(_("Perhaps the same child"))
        table = self._start_table(_("Case"), _("Other case"), _("Likely"), _("Since"))
        for overlap in page["overlaps"]:
            likely = _("yes") if overlap["is_likely"] else _("no")
            table.add_row(overlap["reference"], overlap["other_reference"], likely, self._when(overlap["suspected_at"]))
        self._print_page(table, page["overlaps"], page, command)

    def _print_text(self, text: str) -> None:
        """Prints a line as it is; a code or a command stays in one piece to be copied."""
        self._console.print(text, soft_wrap=True)

    def _print_title(self, reference: str, more: str = "") -> None:
        self._console.print(Text.assemble((reference, "bold"), f"  {more}" if more else ""))

    def _print_heading(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold")

    def _print_page(self, table: Table, rows: Sequence[Any], page: Mapping[str, Any], command: str) -> None:
        if not rows:
            self._console.print(self._(_NONE))
            return
        self._console.print(table)
        is_cut = bool(page["next"])
        text = self._(_MORE if is_cut else _ALL).format(
            shown=len(rows), total=page["total"], command=f"{command} --after {page['next']}"
        )
        self._print_text(text)

    def _start_table(self, *columns: str) -> Table:
        return Table(*(Column(column, overflow="fold") for column in columns))

    def _label(self, terms: type[Term], code: str) -> str:
        """Returns the label of a term; a code that this version does not know is shown as it is."""
        return next((term.label(self._language) for term in terms if term.value == code), code)

    def _name(self, agency: str) -> str:
        return self._agencies.get(agency, agency)

    def _when(self, moment: str) -> str:
        return datetime.fromisoformat(moment).astimezone(self._zone).strftime("%Y-%m-%d %H:%M %Z")

    def _end(self, case: Mapping[str, Any]) -> str:
        if not case["ended_at"]:
            return ""
        how = self._label(CaseEnd, case["ended_as"]) if case["ended_as"] else ""
        into = _reference_of(case["merged_into"])
        return " ".join(part for part in (self._when(case["ended_at"]), how, into) if part)


def _in_brackets(text: str, why: str) -> str:
    return f"{text} ({why})" if why else text


def _reference_of(case_id: str | None) -> str:
    return case_reference(UUID(case_id)) if case_id else ""
