"""A note leaves the agency sealed to routing."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from simpul_agency.connectors.reply_command import InvalidReply, ReplyCommand, ReplyKind
from simpul_agency.reply import Reply
from simpul_agency.reply_factory import ReplyFactory
from simpul_schema import message_class
from simpul_schema.samples import samples
from simpul_schema.vocabulary import DossierSection
from simpul_seal import Directory, UnknownKey, generate, open_section

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
RING, PUBLIC = generate("routing", not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=1))
TEXT = "Wenthilora sleeps at her aunt's."


def reply_with(directory: Directory) -> Reply:
    body = next(body for name, _, body in samples() if name == "referral.offered.v1")
    message = message_class("referral.offered.v1")
    assert message is not None
    return Reply(message.read_json(body), ReplyFactory("ylpa", "/kediri/agency/ylpa", lambda _: "", directory), now=NOW)


def test_each_note_is_sealed_to_routing_and_sent_once() -> None:
    reply = reply_with(Directory([PUBLIC]))

    reply.add_note(DossierSection.LOGISTICS, TEXT)
    reply.add_note(DossierSection.LOGISTICS, TEXT)
    reply.add_note(DossierSection.LOGISTICS, "Another one.")

    first, _ = (json.loads(draft.sign_with_sequence(1).body) for draft in reply.drafts)
    assert "Wenthilora" not in str(first)
    opened = open_section(
        first["data"]["sealed"]["note"]["ciphertext"],
        RING,
        event_id=UUID(first["id"]),
        case_id=UUID(first["correlationid"]),
        section="note",
    )
    assert json.loads(opened) == {"about": "logistics", "text": TEXT}


def test_a_note_waits_for_nobody_who_could_not_open_it() -> None:
    with pytest.raises(UnknownKey):
        reply_with(Directory([])).add_note(DossierSection.SCHOOL, TEXT)


def test_a_note_of_other_software_names_its_section_and_is_shown_in_no_message() -> None:
    command = ReplyCommand.parse({"reply": "note", "about": "school", "text": TEXT})
    reply = reply_with(Directory([PUBLIC]))

    command.apply_to(reply)

    assert (command.reply, len(reply.drafts)) == (ReplyKind.NOTE, 1)
    assert "Wenthilora" not in repr(command)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"about": None}, "needs about"),
        ({"text": None}, "needs text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 2_001}, "text"),
        ({"about": "gossip"}, "about"),
        ({"service_ids": ["5f0cb5ac-0000-4000-8000-000000000000"]}, "whole referral"),
    ],
)
def test_an_incomplete_note_is_refused_with_the_field(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidReply, match=problem):
        ReplyCommand.parse({"reply": "note", "about": "school", "text": TEXT} | changes)
