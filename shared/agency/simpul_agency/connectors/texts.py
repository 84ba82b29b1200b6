"""The texts of the web inbox that depend on an event or a fact."""

from collections.abc import Mapping
from typing import Final

from simpul_schema.translations import gettext_noop

STATES: Final[Mapping[str, str]] = {
    "referral.offered.v1": gettext_noop("waiting for an answer"),
    "referral.reminded.v1": gettext_noop("waiting for an answer, reminded"),
    "referral.overdue.v1": gettext_noop("overdue"),
    "referral.escalated.v1": gettext_noop("overdue, escalated"),
    "referral.accepted.v1": gettext_noop("accepted"),
    "referral.started.v1": gettext_noop("service started"),
    "referral.declined.v1": gettext_noop("rerouted to another agency"),
    "referral.rerouted.v1": gettext_noop("rerouted to another agency"),
    "referral.completed.v1": gettext_noop("completed"),
    "referral.cancelled.v1": gettext_noop("cancelled"),
    "referral.revoked.v1": gettext_noop("revoked"),
    "reply.referral.accepted.v1": gettext_noop("accepted, being sent to the city"),
    "reply.referral.declined.v1": gettext_noop("declined, being sent to the city"),
    "reply.referral.scheduled.v1": gettext_noop("appointment scheduled"),
    "reply.referral.unattended.v1": gettext_noop("the child did not come"),
    "reply.referral.started.v1": gettext_noop("service started"),
    "reply.referral.completed.v1": gettext_noop("completed, being sent to the city"),
}
"""State of a service, by the wire name of the event or reply that led to it."""

DOSSIER: Final[Mapping[str, str]] = {
    "child_name": gettext_noop("Name of the child"),
    "birth_date": gettext_noop("Date of birth"),
    "nik": gettext_noop("NIK"),
    "sex": gettext_noop("Sex"),
    "guardian_name": gettext_noop("Name of the guardian"),
    "guardian_relation": gettext_noop("The guardian is"),
    "chronology": gettext_noop("What happened"),
    "files": gettext_noop("Photos and documents"),
    "injured": gettext_noop("Injured"),
    "pregnant": gettext_noop("Pregnant"),
    "disability_need": gettext_noop("Disability need"),
    "suicidal_sign": gettext_noop("Suicidal sign"),
    "happened_at": gettext_noop("When it happened"),
    "perpetrator_description": gettext_noop("The suspect in the words of the report"),
    "perpetrator_relation": gettext_noop("The suspect is"),
    "school": gettext_noop("School"),
    "in_school": gettext_noop("In school"),
    "safe_contact": gettext_noop("Safe contact"),
    "safe_hours": gettext_noop("Contact only at these hours"),
    "guardian_phone": gettext_noop("Telephone of the guardian"),
    "address": gettext_noop("Address"),
    "is_suspect_at_home": gettext_noop("The suspect lives at this address"),
    "notes": gettext_noop("Notes of agencies that help the child"),
}
"""Label of a field of the dossier."""

FACTS: Final[Mapping[str, str]] = {
    "violence": gettext_noop("Kinds of violence"),
    "implied_violence": gettext_noop("Of these, implied by other facts"),
    "sex": gettext_noop("Sex"),
    "age_band": gettext_noop("Age band"),
    "happened_at": gettext_noop("When it happened"),
    "place": gettext_noop("Where it happened"),
    "event_kecamatan": gettext_noop("Kecamatan where it happened"),
    "kecamatan": gettext_noop("Kecamatan where the child lives"),
    "perpetrator_relation": gettext_noop("The suspect is"),
    "perpetrator_is_child": gettext_noop("The suspect is a child"),
    "perpetrator_lives_with_child": gettext_noop("The suspect lives with the child"),
    "guardian_relation": gettext_noop("The guardian is"),
    "guardian_is_suspect": gettext_noop("The guardian is the suspect"),
    "suspect_has_phone": gettext_noop("The telephone of the family is the suspect's"),
    "safe_now": gettext_noop("Safe now"),
    "injured": gettext_noop("Injured"),
    "sexual_under_72h": gettext_noop("Sexual violence less than 72 hours ago"),
    "suicidal_sign": gettext_noop("Suicidal sign"),
    "trafficking_sign": gettext_noop("Sign of trafficking"),
    "pregnant": gettext_noop("Pregnant"),
    "disability_need": gettext_noop("Disability need"),
    "in_school": gettext_noop("In school"),
    "mediation_locked": gettext_noop("Mediation is not allowed"),
}
"""Label of a fact, by its field."""
