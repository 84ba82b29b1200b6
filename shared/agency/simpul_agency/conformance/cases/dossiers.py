"""A consumer keeps the dossier of a child sealed, and deletes it when the city withdraws it."""

from typing import Final

from simpul_agency.conformance.case import case
from simpul_agency.conformance.trial import Trial, expect, fail
from simpul_agency.sandbox.replies import AgencyReply
from simpul_schema.vocabulary import ParkReason

NAME: Final = "Wenthilora Paksibumi"
"""Of an invented child; no other file contains it."""


@case("A dossier is taken in, and nothing of it stands in clear in a file: whoever copies the disk learns nothing.")
async def dossier_is_stored_sealed(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    contents = {"identity": {"child_name": NAME}, "narrative": {"chronology": f"{NAME} spoke to her teacher."}}
    release = trial.city.events.create_release(offer, contents)
    await trial.city.send(release, by="intake")
    await trial.city.repeat(release)
    await trial.wait_until_drained()
    await trial.wait_until_quiet()
    expect(not trial.city.reply_log.replies_to(release), "a release of the dossier was answered")
    trial.expect_not_parked(release)
    trial.expect_not_on_disk(NAME)


@case("A withdrawn dossier is deleted and that is confirmed once: until then the city counts it as still held.")
async def withdrawn_dossier_is_deleted(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    await trial.city.send(trial.city.events.create_release(offer, {"identity": {"child_name": NAME}}), by="intake")
    withdrawal = trial.city.events.create_withdrawal(offer, ["identity"])
    await trial.city.send(withdrawal, by="intake")
    await trial.city.repeat(withdrawal)

    def confirmed() -> list[AgencyReply]:
        replies = trial.city.reply_log.replies_to(withdrawal)
        return [one for one in replies if one.type == "reply.dossier.deleted.v1"]

    if not await trial.wait_for_reply(lambda: bool(confirmed())):
        fail("a dossier was withdrawn, and no reply.dossier.deleted.v1 came")
    await trial.wait_until_quiet()
    expect(len(confirmed()) == 1, "the deletion of a withdrawn dossier was confirmed more than once")
    trial.expect_valid(confirmed())
    [reply] = confirmed()
    expect(
        reply.event["data"]["withdrawal_id"] == withdrawal["data"]["withdrawal_id"],
        "the confirmation names another withdrawal",
    )
    trial.expect_not_on_disk(NAME)
    await trial.expect_answered(await trial.send_offer(2))


@case("Only intake releases and withdraws dossiers: what another service signs is parked.")
async def dossier_of_another_service_is_parked(trial: Trial) -> None:
    offer = await trial.send_offer()
    await trial.expect_answered(offer)
    event = trial.city.events.create_withdrawal(offer, ["identity"])
    event["source"] = offer["source"]
    body, signature = trial.city.sign_event(event, by="routing")
    await trial.city.publish(body, signature)
    await trial.expect_parked(body, "routing may not withdraw a dossier", ParkReason.UNAUTHORIZED_PUBLISHER)
    await trial.expect_unanswered(event, "routing may not withdraw a dossier")
