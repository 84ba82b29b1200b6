"""People of an agency that works at the desk type a canary wherever its pages let them, about cases that hold one."""

import re
from collections.abc import Mapping
from typing import Any, Final

import aiohttp

from simpul_desk.access import Role
from simpul_dev.local_city import LocalCity
from tests.support.desk import SignedIn, sign_in
from tests.support.ledger import eventually, rows

HOSTED: Final = "rs-rujukan"
_REFERRED: Final = "SELECT referral_id::text FROM worklist_entry WHERE agency = $1 AND case_id = $2::uuid AND is_open"
_REROUTED: Final = (
    "SELECT 1 FROM referral JOIN referral_service USING (referral_id)"
    " WHERE referral_id = $1::uuid AND state = 'rerouted'"
)
_FIELD: Final = r'name="{}" value="([^"]*)"'


class CanaryDesk:
    """A hospital at the desk of a city, and a member of the complaint centre that reported the child."""

    def __init__(self, city: LocalCity, text: str) -> None:
        self._city = city
        self._text = text

    async def serve(self, case_id: str) -> None:
        """Accepts, writes notes of both kinds, and gets an answer to a question."""
        text, person = self._text, await self._sign_in(HOSTED)
        page = await self._open_referral(person, case_id)
        await self._answer(person, page, reply="accepted", note=text)
        await eventually(lambda: self._send(person, f"{page}/note", {"note": text}))
        await eventually(lambda: self._send(person, f"{page}/shared-note", {"shared_note": text, "about": "medical"}))
        await eventually(lambda: self._send(person, f"{page}/information", {"is_missing": "yes", "what": text}))
        await eventually(lambda: self._send_question(person, page))
        await self._answer_question()
        await eventually(lambda: self._shows(person, f"{page}/others", 3))

    async def decline(self, case_id: str) -> None:
        """Declines every service for want of capacity; others are asked to serve, or the hub is."""
        person = await self._sign_in(HOSTED)
        page = await self._open_referral(person, case_id)
        await self._answer(person, page, reply="declined", reason="no_capacity", note=self._text)

        async def is_rerouted() -> bool:
            return bool(await rows(self._city, "routing", _REROUTED, page.rpartition("/")[2]))

        await eventually(is_rerouted)

    async def declare_conflict(self, case_id: str) -> None:
        """Keeps a case from one person, while a colleague still reads it and the audit says what was done."""
        relative, colleague = await self._sign_in(HOSTED), await self._sign_in(HOSTED)
        page = await self._open_referral(relative, case_id)
        assert await self._send(relative, f"{page}/conflict", {})
        assert [(await self._get(one, page))[0] for one in (relative, colleague)] == [404, 200]
        assert (await self._get(relative, f"{page}/others"))[0] == 404
        declared = "SELECT 1 FROM audit WHERE action = 'conflict.declared' AND actor = $1"
        assert len(await rows(self._city, "desk", declared, str(relative.user_id))) == 1

    async def _sign_in(self, agency: str) -> SignedIn:
        return await sign_in(self._city.database_url("desk"), {agency: Role.RESPONDER})

    async def _open_referral(self, person: SignedIn, case_id: str) -> str:
        """Opens the referral of a case as soon as the agency has it; returns the address of its page."""

        async def is_listed() -> bool:
            return bool(await rows(self._city, "desk", _REFERRED, HOSTED, case_id))

        await eventually(is_listed)
        (found,) = await rows(self._city, "desk", _REFERRED, HOSTED, case_id)
        page = f"/work/{HOSTED}/{found['referral_id']}"
        assert (await self._get(person, page))[0] == 200
        return page

    async def _answer(self, person: SignedIn, page: str, **reply: str) -> None:
        """Answers for every service of a referral; again if the referral changes meanwhile."""

        async def is_answered() -> bool:
            _, html = await self._get(person, page)
            found = {name: re.findall(_FIELD.format(name), html) for name in ("version", "service_ids")}
            return await self._send(person, page, reply | {"version": found["version"][0]}, found["service_ids"])

        await eventually(is_answered)

    async def _send_question(self, person: SignedIn, page: str) -> bool:
        """Sends a question to whoever referred the child, once routing has read that the agency helps it."""
        _, html = await self._get(person, f"{page}/others")
        found = re.search(_FIELD.format("question_id"), html)
        if found is None:
            return False
        return await self._send(person, f"{page}/question", {"question_id": found[1], "question": self._text})

    async def _answer_question(self) -> None:
        centre = await self._sign_in("uptd-ppa")
        open_form = re.compile(r'action="(/questions/[0-9a-f-]{36})"')

        async def is_answered() -> bool:
            _, html = await self._get(centre, "/questions")
            assert self._text in html
            found = open_form.search(html)
            answer = {"agency": "uptd-ppa", "answer": self._text}
            return found is not None and await self._send(centre, found[1], answer)

        await eventually(is_answered)

    async def _shows(self, person: SignedIn, target: str, times: int) -> bool:
        """Whether a page shows the canary that often: the note, the question and its answer."""
        return (await self._get(person, target))[1].count(self._text) >= times

    async def _get(self, person: SignedIn, target: str) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession(headers=person.headers) as session,
            session.get(self._city.url("desk") + target, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.text()

    async def _send(
        self, person: SignedIn, target: str, form: Mapping[str, Any], service_ids: tuple[str, ...] | list[str] = ()
    ) -> bool:
        """Sends a form; whether the desk did what it says, which it shows by leading to another page."""
        fields = [*(person.form | dict(form)).items(), *(("service_ids", one) for one in service_ids)]
        async with (
            aiohttp.ClientSession(headers=person.headers) as session,
            session.post(self._city.url("desk") + target, data=fields, allow_redirects=False) as answer,
        ):
            return answer.status == 303
