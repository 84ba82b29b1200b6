"""The catalogue of messages as one page that works without a network, and the fixtures for consumers' own tests."""

import inspect
import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from simpul_cli.contract_keys import NOW, PARTIES, sample_directory, sample_ring, sign_as
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState, Standing, Unchanged, judge_reply
from simpul_schema import MESSAGES, ContractModel, SectionContent
from simpul_schema.asyncapi import VERSION
from simpul_schema.catalog import ANY_AGENCY, CATALOG, CatalogRow
from simpul_schema.json_schemas import schema_of
from simpul_schema.messages import SECTIONS
from simpul_schema.names import routing_key, topic_of
from simpul_schema.samples import samples, section_sample
from simpul_schema.story import STORY
from simpul_schema.vocabulary import DeclineReason, ReplyRefusal, Urgency
from simpul_seal import Rejection, sign, verify_event


@dataclass(frozen=True)
class Field:
    """One field of a message's data."""

    name: str
    type: str
    description: str
    required: bool


@dataclass(frozen=True)
class Card:
    """The documentation of one message."""

    summary: str
    sections: tuple[str, ...]
    """Names of the sealed sections that it may carry."""
    addresses: tuple[tuple[str, str], ...]
    """(exchange, routing key)"""
    fields: tuple[Field, ...]
    sample: str
    signature: str


@dataclass(frozen=True)
class SectionCard:
    """The documentation of one sealed section."""

    name: str
    summary: str
    carriers: tuple[str, ...]
    """Wire names of the messages that may carry it."""
    recipient: str
    fields: tuple[Field, ...]
    sample: str


def as_html() -> str:
    """Renders the catalogue page."""
    templates = Environment(
        loader=PackageLoader("simpul_cli"), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    cards = {row.wire_name: _card(row) for row in CATALOG}
    return templates.get_template("catalogue.html").render(
        rows=CATALOG,
        cards=cards,
        sections=[_section_card(section) for section in SECTIONS],
        story=STORY,
        version=VERSION,
    )


def _card(row: CatalogRow) -> Card:
    message = next(message for message in MESSAGES if row.wire_name == message.WIRE_NAME)
    schema = schema_of(message)
    data = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    topic = topic_of("<service>", "<urgency>") if row.names_service else ""
    return Card(
        summary=_doc(message),
        sections=tuple(section.SECTION for section in message.SECTIONS),
        addresses=tuple((name, routing_key(name, row.wire_name, "<agency>", topic)) for name in row.exchanges),
        fields=_fields(data, schema["$defs"]),
        sample=json.dumps(_sample(row.wire_name), indent=1, ensure_ascii=False),
        signature=next(
            sign_as(json.loads(body)["source"], body) for name, _, body in samples() if name == row.wire_name
        ),
    )


def _section_card(section: type[SectionContent]) -> SectionCard:
    schema = schema_of(section)
    return SectionCard(
        name=section.SECTION,
        summary=_doc(section),
        carriers=tuple(message.WIRE_NAME for message in MESSAGES if section in message.SECTIONS),
        recipient="the addressed agency" if section.RECIPIENT == ANY_AGENCY else section.RECIPIENT,
        fields=_fields(schema, schema.get("$defs", {})),
        sample=section_sample(section.SECTION).decode(),
    )


def _doc(model: type[ContractModel]) -> str:
    return inspect.getdoc(model) or ""


def _fields(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[Field, ...]:
    required = schema.get("required", ())
    return tuple(
        Field(name, _type(field, definitions), field.get("description", ""), name in required)
        for name, field in schema["properties"].items()
    )


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Names a JSON schema type in a few words."""
    if "anyOf" in field:
        return " or ".join(_type(one, definitions) for one in field["anyOf"] if one.get("type") != "null")
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        fallback = definitions[name].get("x-fallback")
        return f"{name} (may grow; take an unknown value for {fallback})" if fallback else name
    if field.get("type") == "array":
        return f"list of {_type(field['items'], definitions)}"
    return str(field.get("format") or field.get("type", "any"))


def _sample(wire_name: str) -> dict[str, Any]:
    return next(json.loads(body) for name, _, body in samples() if name == wire_name)


def event_fixtures() -> dict[str, Any]:
    """Builds a valid event of each type and some invalid ones, each with the reason, all signed by their source."""
    return {row.wire_name: _fixtures_of(_sample(row.wire_name)) for row in CATALOG}


def section_fixtures() -> dict[str, Any]:
    """Makes a valid content of each sealed section, and some that are refused, each with the reason."""
    return {section.SECTION: _section_fixtures_of(section) for section in SECTIONS}


def _section_fixtures_of(section: type[SectionContent]) -> dict[str, Any]:
    valid = json.loads(section_sample(section.SECTION))
    required = [name for name, field in section.model_fields.items() if field.is_required()]
    invalid = [(f"{name} is missing", {key: value for key, value in valid.items() if key != name}) for name in required]
    # Where every field may be left out, one with the wrong type stands for all.
    wrong = required or list(section.model_fields)[:1]
    invalid += [(f"{name} has the wrong type", valid | {name: {}}) for name in wrong]
    return {"valid": valid, "invalid": [{"why": why, "content": content} for why, content in invalid]}


def private_keys_fixture() -> dict[str, Any]:
    """Returns the private halves of the test keys, with which the sealed sections of the samples open."""
    return {"keys": [sample_ring(party).to_json() for party in PARTIES]}


def sample_signatures() -> dict[str, str]:
    """Signs each sample; returns the signatures by file name."""
    return {file_name: sign_as(json.loads(body)["source"], body) for _, file_name, body in samples()}


def directory_fixture() -> dict[str, Any]:
    """Returns the public test keys."""
    return sample_directory().to_json()


def verification_fixtures() -> list[dict[str, Any]]:
    """Builds valid and invalid messages, with the result of `verify_event` at the time of the samples."""
    routing, body = sample_ring("routing"), _body(_sample("referral.offered.v1"))
    other, signature = _body(_sample("referral.revoked.v1")), sign(body, routing)
    deep = body[:-1] + b',"later":' + b"[" * 200 + b"]" * 200 + b"}"
    posing = _body(_sample("referral.offered.v1") | {"source": "/kediri/intake"})
    messages = {
        "signed by its source": (body, signature),
        "signed in another form": (spaced := _spaced(body), sign(spaced, routing)),
        "no signature": (body, ""),
        "a space more than was signed": (_spaced(body), signature),
        "the signature of another body": (other, signature),
        "an unknown scheme": (body, signature.replace("v1", "v2", 1)),
        "half a signature": (body, signature[:-40]),
        "signed for another purpose": (body, sign(body, routing, domain="simpul-agreement-v1")),
        "a key that nobody enrolled": (body, sign(body, sample_ring("routing", "stranger"))),
        "a key that has ended": (body, sign(body, sample_ring("routing", "outdated"))),
        "signed by another than its source": (body, sign(body, sample_ring("uptd-ppa"))),
        "a source that may not publish this": (posing, sign(posing, sample_ring("intake"))),
        "signed and not JSON": (b"[", sign(b"[", routing)),
        "signed and nested too deep": (deep, sign(deep, routing)),
        "unsigned and nested too deep": (deep, signature),
    }
    return [_verification(case, *message) for case, message in messages.items()]


def _verification(case: str, body: bytes, signature: str) -> dict[str, Any]:
    outcome = verify_event(body, signature, sample_directory(), NOW)
    reason = outcome.reason.value if isinstance(outcome, Rejection) else None
    return {"case": case, "body_base64": b64encode(body).decode(), "signature": signature, "reason": reason}


def _body(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _spaced(body: bytes) -> bytes:
    return body.replace(b'":"', b'": "', 1)


def _signed(event: dict[str, Any]) -> dict[str, str]:
    body = _body(event)
    return {"body": body.decode(), "signature": sign_as(event["source"], body)}


def _fixtures_of(valid: dict[str, Any]) -> dict[str, Any]:
    data = valid["data"]
    named = next(name for name in data if name != "sealed")
    wrong = 7 if isinstance(data[named], str) else "not one"
    invalid = [
        ("data is missing", {name: value for name, value in valid.items() if name != "data"}),
        ("another type", valid | {"type": "something.else.v1"}),
        ("the sequence does not have ten digits", valid | {"sequence": "1"}),
        (f"data.{named} has the wrong type", valid | {"data": data | {named: wrong}}),
    ]
    return {"valid": _signed(valid), "invalid": [{"why": why} | _signed(event) for why, event in invalid]}


def transition_fixtures() -> list[dict[str, str]]:
    """Lists the outcome of each reply in each state of a service; declines are for lack of capacity and not urgent."""
    return [_transition(state, kind) for state in ServiceState for kind in ReplyKind]


def _transition(state: ServiceState, kind: ReplyKind) -> dict[str, str]:
    standing = Standing(state, Urgency.LOW, has_first_aid=False)
    reason = DeclineReason.NO_CAPACITY if kind is ReplyKind.DECLINED else None
    known = {"state": state.value, "reply": f"reply.referral.{kind.value}.v1"}
    match judge_reply(standing, kind, reason):
        case ServiceState() as after:
            return known | {"becomes": after.value}
        case Unchanged() as why:
            return known | {"unchanged": why.value}
        case ReplyRefusal() as refusal:
            return known | {"refused": refusal.value}
