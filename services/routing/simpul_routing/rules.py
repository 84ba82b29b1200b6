"""Reads `rights.yaml` into the rules of the domain and refuses what cannot work."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from simpul_routing.domain import CENTRE, SATGAS, AnswerTime, Condition, Rules, ServiceRule, UrgencyRule
from simpul_routing.errors import RulesInvalid
from simpul_runtime.city import City, read_yaml
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import Right, Service, Urgency

_FACTS = frozenset(TriageFacts.model_fields) - {"complaint_centre"}


def read_rules(path: Path, city: City) -> Rules:
    """The city's rules; RulesInvalid names the first thing that is wrong."""
    described = read_yaml(path)
    try:
        rules = Rules(
            hub=described["hub"],
            services=tuple(_service_rule(entry) for entry in described["services"]),
            urgency=tuple(
                UrgencyRule(Urgency(entry["urgency"]), _condition(entry), entry["source"])
                for entry in described["urgency"]
            ),
            answer_times={Urgency(name): _answer_time(entry) for name, entry in described["answer_within"].items()},
            mediation_locked=_alternatives(described["mediation_locked"]),
        )
    except (KeyError, ValueError) as error:
        msg = f"{path}: {error} is missing or not a word of the vocabulary"
        raise RulesInvalid(msg) from error
    _check(rules, city, path)
    return rules


def _service_rule(entry: Mapping[str, Any]) -> ServiceRule:
    return ServiceRule(
        service=Service(entry["service"]),
        right=Right(entry["right"]),
        lead=entry["lead"],
        support=tuple(entry.get("support", ())),
        when=_condition(entry),
        source=entry["source"],
    )


def _answer_time(entry: Mapping[str, Any]) -> AnswerTime:
    within = timedelta(minutes=entry.get("minutes", 0), hours=entry.get("hours", 0))
    return AnswerTime(within, entry.get("working_days", 0), entry["source"])


def _condition(entry: Mapping[str, Any]) -> Condition:
    return _alternatives(entry.get("when", ()))


def _alternatives(listed: Any) -> Condition:
    return tuple({fact: frozenset(values) for fact, values in alternative.items()} for alternative in listed)


def _check(rules: Rules, city: City, path: Path) -> None:
    allowed = city.agency_codes | {SATGAS, CENTRE}
    for rule in rules.services:
        unknown = {rule.lead, *rule.support} - allowed
        if unknown:
            msg = f"{path}: service {rule.service}: {', '.join(sorted(unknown))} is no agency of {city.name}"
            raise RulesInvalid(msg)
        for alternative in rule.when:
            if not alternative.keys() <= _FACTS:
                msg = f"{path}: service {rule.service}: {sorted(alternative.keys() - _FACTS)} is no fact"
                raise RulesInvalid(msg)
    if len({rule.service for rule in rules.services}) != len(rules.services):
        msg = f"{path}: a service has two rules, so it could have two leads; merge them"
        raise RulesInvalid(msg)
    if {rule.right for rule in rules.services} != set(Right):
        msg = f"{path}: no service for {sorted(set(Right) - {rule.right for rule in rules.services})}"
        raise RulesInvalid(msg)
    if rules.hub not in city.agency_codes or rules.urgency[-1].when or set(rules.answer_times) != set(Urgency):
        msg = f"{path}: the hub must be an agency, the last urgency without condition, and each urgency need a time"
        raise RulesInvalid(msg)
